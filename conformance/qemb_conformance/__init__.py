"""The conformance runner: any implementation of `.qemb`, in any language, against the corpus.

It uses nothing but the standard library: ``python3 conformance/run.py`` works in a bare clone. The protocol between it
and an implementation is in ``conformance/PROTOCOL.md``.
"""
