/* SPDX-License-Identifier: CC0-1.0
 *
 * fuzz FILE...: read damaged copies of the files, with each byte changed in several ways and cut at each length, as
 * they are and with their checksums mended. Out of a file that was not verified wrong numbers may come, and nothing
 * worse (QEMB-ORD-02): sanitizers are the judge. A file that was verified has to be read without an error.
 *
 * Compiled with LIBFUZZER defined it is a target of libFuzzer, with a mutator that mends checksums: `make fuzz`. */
#include "qemb.c" /* its CRC, its loads */

#include <stdio.h>
#include <stdlib.h>

enum { MAX_MEMORY = 1 << 22, MAX_ROWS = 64 };

static void store32(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

/* Make the checksums of a file right, as far as it has a table, sections and frames. */
static void mend(unsigned char *data, size_t size)
{
    if (size < HEADER_SIZE)
        return;
    qemb_file file = {.data = data};
    uint64_t count = smaller(load32(data + 12), (size - HEADER_SIZE) / ENTRY_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        qemb_section s = qemb_section_at(&file, i);
        if (s.offset > size || s.stored_size > size - s.offset)
            continue;
        if (s.codec == 1 && s.frame_size != 0 && s.stored_size / FRAME_ENTRY_SIZE >= frame_count(&s)) {
            uint64_t area = s.stored_size - frame_count(&s) * FRAME_ENTRY_SIZE;
            for (uint64_t j = 0; j < frame_count(&s); j++) {
                unsigned char *entry = data + (frame_entry(&file, &s, j) - data);
                uint64_t offset = load64(entry);
                if (offset <= area && load32(entry + 8) <= area - offset)
                    store32(entry + 12, crc32c(data + s.offset + offset, load32(entry + 8)));
            }
        }
        store32(data + HEADER_SIZE + i * ENTRY_SIZE + 36, crc32c(data + s.offset, s.stored_size));
    }
    store32(data + 56, crc32c(data + HEADER_SIZE, count * ENTRY_SIZE));
    store32(data + 60, crc32c(data, 60));
}

/* Read whatever there is, in every way; the first error. */
static qemb_code read_everything(qemb_reader *reader)
{
    const qemb_file *file = reader->file;
    uint64_t rows = smaller(file->header.rows, MAX_ROWS), tokens = smaller(file->header.tokens, MAX_ROWS), count, found;
    qemb_code first = QEMB_OK, code;
    float norm, *vector = malloc(4 * (size_t)file->header.dim);
    for (uint64_t row = rows; row-- > 0; first = first != QEMB_OK ? first : code)
        code = qemb_rows(reader, row, 1, vector);
    for (uint64_t row = 0; row < tokens; row++) {
        const unsigned char *token;
        uint32_t length;
        bool made;
        if ((code = qemb_token(reader, row, &token, &length)) == QEMB_OK
            && (code = qemb_find(reader, token, length, &found)) == QEMB_OK && found != row)
            code = QEMB_INVALID_INDEX;
        if (code == QEMB_OK && qemb_has(file, QEMB_SUBW) && length < 100)
            code = qemb_subword_vector(reader, token, length, vector, &made);
        if (code == QEMB_OK && qemb_has(file, QEMB_CNTS))
            code = qemb_count(reader, row, &count);
        first = first != QEMB_OK ? first : code;
    }
    for (uint64_t row = 0; qemb_has(file, QEMB_NORM) && row < rows; row++)
        first = qemb_norm(reader, row, &norm) != QEMB_OK ? QEMB_INVALID_NORM : first;
    for (qemb_kind kind = 0; kind < QEMB_KINDS; kind++)
        if (qemb_has(file, kind)) {
            uint64_t size = file->sections[kind].raw_size;
            unsigned char *raw = malloc((size_t)size + 1);
            code = qemb_read(reader, kind, 0, size, raw);
            first = first != QEMB_OK ? first : code;
            free(raw);
        }
    free(vector);
    return first;
}

static void try(const unsigned char *data, size_t size)
{
    qemb_file file;
    if (qemb_open(&file, data, size) != QEMB_OK || file.header.dim > MAX_MEMORY / 4
        || qemb_decoded_size(&file) > MAX_MEMORY)
        return;
    uint64_t scratch_size = qemb_reader_size(&file), working_size = qemb_verify_size(&file);
    void *scratch = malloc((size_t)scratch_size), *working = malloc((size_t)working_size);
    qemb_reader reader;
    for (int indexed = 0; indexed < 2; indexed++) {
        if (qemb_reader_init(&reader, &file, scratch, scratch_size) != QEMB_OK)
            abort();
        if (indexed)
            qemb_index(&reader, working, working_size);
        read_everything(&reader);
    }
    if (qemb_reader_init(&reader, &file, scratch, scratch_size) != QEMB_OK)
        abort();
    if (qemb_verify(&reader, working, working_size) == QEMB_OK && read_everything(&reader) != QEMB_OK) {
        fprintf(stderr, "fuzz: a verified file: %s\n", qemb_code_name(reader.error.code));
        abort();
    }
    free(scratch);
    free(working);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size); /* libFuzzer's own */

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    try(data, size);
    return 0;
}

/* A part of a file whose size is kept: the header, an entry of the table, or what is stored of a section. */
static unsigned char *some_part(unsigned char *data, size_t size, unsigned choice, size_t *part_size)
{
    qemb_file file = {.data = data};
    uint64_t count = smaller(load32(data + 12), smaller(MAX_SECTIONS, (size - HEADER_SIZE) / ENTRY_SIZE));
    choice %= 2 * (unsigned)count + 1;
    if (choice == 2 * count) {
        *part_size = HEADER_SIZE;
        return data;
    }
    qemb_section s = qemb_section_at(&file, choice / 2);
    if (choice % 2 == 0 && s.offset < size && s.stored_size > 0 && s.stored_size <= size - s.offset) {
        *part_size = (size_t)s.stored_size;
        return data + s.offset;
    }
    *part_size = ENTRY_SIZE;
    return data + HEADER_SIZE + choice / 2 * ENTRY_SIZE;
}

/* Change one part, so that the layout survives, or three times in sixteen anything; then mend `file_size`, and
 * checksums, without which no change would be seen by more than the code that compares them. */
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < HEADER_SIZE || seed % 16 < 3) {
        size = LLVMFuzzerMutate(data, size, max_size);
    } else {
        size_t part_size;
        unsigned char *part = some_part(data, size, seed >> 10, &part_size);
        LLVMFuzzerMutate(part, part_size, part_size);
    }
    if (size >= HEADER_SIZE && seed / 16 % 4 != 0) {
        store32(data + 40, (uint32_t)size);
        store32(data + 44, 0);
    }
    if (seed / 64 % 16 != 0)
        mend(data, size);
    return size;
}
#else
/* A copy in memory of its own size, mended or not. */
static void try_copy(const unsigned char *data, size_t size, bool mended)
{
    unsigned char *copied = malloc(size == 0 ? 1 : size);
    memcpy(copied, data, size);
    if (mended)
        mend(copied, size);
    try(copied, size);
    free(copied);
}

int main(int argc, char **argv)
{
    static unsigned char data[1 << 16];
    for (int i = 1; i < argc; i++) {
        FILE *stream = fopen(argv[i], "rb");
        size_t size = stream != NULL ? fread(data, 1, sizeof data, stream) : 0;
        if (size == 0)
            return EXIT_FAILURE;
        fclose(stream);
        for (size_t at = 0; at < size; at++) {
            static const unsigned char changes[] = {0x01, 0x10, 0x80, 0xFF};
            for (size_t j = 0; j < sizeof changes; j++) {
                data[at] ^= changes[j];
                try_copy(data, size, true);
                if (j == 0)
                    try_copy(data, size, false);
                data[at] ^= changes[j];
            }
            try_copy(data, at, false);
            try_copy(data, at, true);
        }
    }
    return EXIT_SUCCESS;
}
#endif
