/* SPDX-License-Identifier: CC0-1.0
 *
 * qemb.h, qemb.c: a reader of .qemb files, format version 1. See README.md for use and ../../../spec/qemb.md for the
 * format; names such as QEMB-HDR-01 in qemb.c are requirements of that document.
 *
 * The library allocates nothing, keeps no state of its own and touches neither errno nor stdio. A file is a range of
 * bytes that the caller has read or mapped, and scratch memory is the caller's, of a size that a function tells. A
 * `qemb_file` is constant once opened and may serve any number of threads; each takes a `qemb_reader` of its own.
 *
 * Compile with QEMB_ZSTD defined, and link libzstd, to read compressed frames. Without it they are
 * QEMB_UNSUPPORTED_CODEC, and everything else is read all the same.
 */
#ifndef QEMB_H
#define QEMB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The error codes of section 8.1, and their names there. */
#define QEMB_CODES(X)                                                    \
    X(QEMB_MALFORMED_MAGIC, "malformed.magic")                           \
    X(QEMB_MALFORMED_TRUNCATED, "malformed.truncated")                   \
    X(QEMB_MALFORMED_HEADER_CHECKSUM, "malformed.header_checksum")       \
    X(QEMB_MALFORMED_TABLE_CHECKSUM, "malformed.table_checksum")         \
    X(QEMB_MALFORMED_SECTION_CHECKSUM, "malformed.section_checksum")     \
    X(QEMB_MALFORMED_FRAME_CHECKSUM, "malformed.frame_checksum")         \
    X(QEMB_MALFORMED_FRAME, "malformed.frame")                           \
    X(QEMB_MALFORMED_STRUCTURE, "malformed.structure")                   \
    X(QEMB_MALFORMED_METADATA, "malformed.metadata")                     \
    X(QEMB_INVALID_TABLE_OFFSET, "invalid.table_offset")                 \
    X(QEMB_INVALID_DIM, "invalid.dim")                                   \
    X(QEMB_INVALID_COUNTS, "invalid.counts")                             \
    X(QEMB_INVALID_FILE_SIZE, "invalid.file_size")                       \
    X(QEMB_INVALID_TRAILING_BYTES, "invalid.trailing_bytes")             \
    X(QEMB_INVALID_SECTION_KIND, "invalid.section_kind")                 \
    X(QEMB_INVALID_SECTION_FLAGS, "invalid.section_flags")               \
    X(QEMB_INVALID_DUPLICATE_SECTION, "invalid.duplicate_section")       \
    X(QEMB_INVALID_SECTION_SIZE, "invalid.section_size")                 \
    X(QEMB_INVALID_SECTION_CODEC, "invalid.section_codec")               \
    X(QEMB_INVALID_FRAME_SIZE, "invalid.frame_size")                     \
    X(QEMB_INVALID_FRAME_TABLE, "invalid.frame_table")                   \
    X(QEMB_INVALID_ALIGNMENT, "invalid.alignment")                       \
    X(QEMB_INVALID_OVERLAP, "invalid.overlap")                           \
    X(QEMB_INVALID_SECTION_PAST_END, "invalid.section_past_end")         \
    X(QEMB_INVALID_HOLE, "invalid.hole")                                 \
    X(QEMB_INVALID_PADDING, "invalid.padding")                           \
    X(QEMB_INVALID_MISSING_SECTION, "invalid.missing_section")           \
    X(QEMB_INVALID_UNEXPECTED_SECTION, "invalid.unexpected_section")     \
    X(QEMB_INVALID_QUANTIZATION, "invalid.quantization")                 \
    X(QEMB_INVALID_TRANSFORM, "invalid.transform")                       \
    X(QEMB_INVALID_SUBWORD, "invalid.subword")                           \
    X(QEMB_INVALID_METADATA, "invalid.metadata")                         \
    X(QEMB_INVALID_LEVEL, "invalid.level")                               \
    X(QEMB_INVALID_SCALE, "invalid.scale")                               \
    X(QEMB_INVALID_OFFSET, "invalid.offset")                             \
    X(QEMB_INVALID_CODE, "invalid.code")                                 \
    X(QEMB_INVALID_CODE_PADDING, "invalid.code_padding")                 \
    X(QEMB_INVALID_EXCEPTIONS, "invalid.exceptions")                     \
    X(QEMB_INVALID_TOKEN_OFFSETS, "invalid.token_offsets")               \
    X(QEMB_INVALID_TOKEN_LENGTH, "invalid.token_length")                 \
    X(QEMB_INVALID_TOKEN_UTF8, "invalid.token_utf8")                     \
    X(QEMB_INVALID_DUPLICATE_TOKEN, "invalid.duplicate_token")           \
    X(QEMB_INVALID_INDEX, "invalid.index")                               \
    X(QEMB_INVALID_NORM, "invalid.norm")                                 \
    X(QEMB_UNSUPPORTED_VERSION, "unsupported.version")                   \
    X(QEMB_UNSUPPORTED_FEATURE, "unsupported.feature")                   \
    X(QEMB_UNSUPPORTED_CRITICAL_SECTION, "unsupported.critical_section") \
    X(QEMB_UNSUPPORTED_CODEC, "unsupported.codec")                       \
    X(QEMB_UNSUPPORTED_LEVEL, "unsupported.level")                       \
    X(QEMB_UNSUPPORTED_TRANSFORM, "unsupported.transform")               \
    X(QEMB_UNSUPPORTED_SUBWORD, "unsupported.subword")                   \
    X(QEMB_LIMIT_SECTIONS, "limit.sections")                             \
    X(QEMB_LIMIT_METADATA_SIZE, "limit.metadata_size")                   \
    X(QEMB_LIMIT_MEMORY, "limit.memory")                                 \
    X(QEMB_ARGUMENT, "argument") /* not the file's fault: a row past the last, a section that is not there */

typedef enum qemb_code {
    QEMB_OK = 0,
#define QEMB_ENUMERATOR(name, text) name,
    QEMB_CODES(QEMB_ENUMERATOR)
#undef QEMB_ENUMERATOR
} qemb_code;

/* "invalid.dim" of QEMB_INVALID_DIM; "ok" of QEMB_OK. */
const char *qemb_code_name(qemb_code code);

/* What is wrong, and where: a byte of the file where `section` is empty, otherwise a byte of that section's raw bytes,
 * 0 where it is the section as a whole. */
typedef struct qemb_error {
    qemb_code code;
    char section[5];
    uint64_t offset;
} qemb_error;

/* The kinds of sections, in the order of section 5. */
typedef enum qemb_kind {
    QEMB_META,
    QEMB_QUAN,
    QEMB_TRNS,
    QEMB_LEVL,
    QEMB_SCAL,
    QEMB_OFFS,
    QEMB_CODE,
    QEMB_HIG0,
    QEMB_HIG1,
    QEMB_HIG2,
    QEMB_HIG3,
    QEMB_EXCP,
    QEMB_TOKO,
    QEMB_TOKB,
    QEMB_INDX,
    QEMB_NORM,
    QEMB_CNTS,
    QEMB_SUBW,
    QEMB_KINDS
} qemb_kind;

/* Of qemb_quantization: level; scale_group, offset_group; scale_type, offset_type; format. */
enum { QEMB_LINEAR, QEMB_CODEBOOK, QEMB_PRODUCT, QEMB_DECIMAL, QEMB_IEEE };
enum { QEMB_GROUP_NONE, QEMB_GROUP_TABLE, QEMB_GROUP_ROW, QEMB_GROUP_COLUMN, QEMB_GROUP_BLOCK };
enum { QEMB_TYPE_NONE, QEMB_TYPE_FLOAT32, QEMB_TYPE_FLOAT16 };
enum { QEMB_FORMAT_FLOAT32, QEMB_FORMAT_FLOAT16, QEMB_FORMAT_BFLOAT16 };

typedef struct qemb_header {
    uint16_t major, minor;
    uint32_t section_count, required_features, optional_features;
    uint64_t rows, tokens, file_size;
    uint32_t dim, table_offset, table_crc, header_crc;
} qemb_header;

typedef struct qemb_section {
    char kind[5]; /* with a zero at its end; empty where the file has no such section */
    uint16_t flags, codec;
    uint64_t offset, stored_size, raw_size;
    uint32_t frame_size, crc;
} qemb_section;

typedef struct qemb_quantization {
    uint8_t level, bits, low_bits, scale_group, scale_type, offset_group, offset_type;
    uint32_t scale_block, offset_block, row_stride;
    uint32_t codes;        /* in a row; not stored */
    int32_t step, bias;    /* linear */
    uint8_t window, shift; /* codebook and trellis */
    uint32_t sub_dim;      /* product */
    uint8_t digits;        /* decimal */
    int8_t exponent_min, exponent_max;
    uint8_t format; /* ieee */
} qemb_quantization;

typedef struct qemb_transform {
    uint8_t kind, generator, rounds;
    uint64_t seed;
} qemb_transform;

typedef struct qemb_subword {
    uint8_t hash;
    uint32_t min_n, max_n, buckets;
} qemb_subword;

/* An opened file. Fields are for reading. */
typedef struct qemb_file {
    const unsigned char *data;
    qemb_header header;
    qemb_section sections[QEMB_KINDS];
    qemb_quantization quantization;
    qemb_transform transform; /* where sections[QEMB_TRNS] is there */
    qemb_subword subword;     /* where sections[QEMB_SUBW] is there */
    qemb_error error;
} qemb_file;

/* Open a file that lies at `data`, which must stay there as long as the file is used: checks 1 to 6 of section 8. */
qemb_code qemb_open(qemb_file *file, const void *data, uint64_t size);

/* Entry `number` of the section table, of unknown kinds too, in file order; `number` is below header.section_count. */
qemb_section qemb_section_at(const qemb_file *file, uint32_t number);

bool qemb_has(const qemb_file *file, qemb_kind kind);

/* What reading all of a file comes to: the raw bytes of its sections, 4 for each value and 64 for each token. A
 * kilobyte of zstd frames can stand for gigabytes: where files come from anywhere, hold this against their size. */
uint64_t qemb_decoded_size(const qemb_file *file);

/* A section in frames keeps the last one that was read. */
typedef struct qemb_frame {
    unsigned char *memory;
    const unsigned char *raw;
    uint64_t number;
} qemb_frame;

/* What one thread needs to read a file. Its fields but `error` are private. */
typedef struct qemb_reader {
    qemb_error error;
    const qemb_file *file;
    qemb_frame frames[QEMB_KINDS];
    uint32_t *codes;
    float *row;
    unsigned char *token, *zstd;
    const unsigned char *levels;
    uint64_t *index, slots, exception, exception_row;
} qemb_reader;

/* Bytes of scratch memory for a reader of this file: 4 for each code of a row, and for each section in frames one
 * frame, for LEVL in frames all of it. */
uint64_t qemb_reader_size(const qemb_file *file);

/* Set up a reader in `memory`, which needs no alignment; QEMB_LIMIT_MEMORY where `size` is too small. */
qemb_code qemb_reader_init(qemb_reader *reader, const qemb_file *file, void *memory, uint64_t size);

/* Decode `count` rows from `first` on into `out`, count x dim values. */
qemb_code qemb_rows(qemb_reader *reader, uint64_t first, uint64_t count, float *out);

/* The token of a row. It lies in the file, or, where TOKB is in frames, in the reader, until its next use. */
qemb_code qemb_token(qemb_reader *reader, uint64_t row, const unsigned char **token, uint32_t *length);

#define QEMB_ABSENT UINT64_MAX

/* The row of a token, or QEMB_ABSENT; by an index of qemb_index, or else by INDX, or else by looking at each token. */
qemb_code qemb_find(qemb_reader *reader, const void *token, uint64_t length, uint64_t *row);

/* For a file without INDX: an index for qemb_find, of 12 bytes a token, made in `memory` that stays with the reader.
 * Two equal tokens are QEMB_INVALID_DUPLICATE_TOKEN. */
uint64_t qemb_index_size(const qemb_file *file);
qemb_code qemb_index(qemb_reader *reader, void *memory, uint64_t size);

/* The vector of a word that is no token (QEMB-SUB-03), dim values; *found is false, and `out` untouched, where there is
 * none. */
qemb_code qemb_subword_vector(qemb_reader *reader, const void *word, uint64_t length, float *out, bool *found);

qemb_code qemb_norm(qemb_reader *reader, uint64_t row, float *norm);
qemb_code qemb_count(qemb_reader *reader, uint64_t token, uint64_t *count);

/* `length` raw bytes of a section from `offset` on; META is read with this. */
qemb_code qemb_read(qemb_reader *reader, qemb_kind kind, uint64_t offset, uint64_t length, void *out);

/* Checks 7 and 8 of section 8, with scratch memory beside that of the reader: 12 bytes a token, or twice META. */
uint64_t qemb_verify_size(const qemb_file *file);
qemb_code qemb_verify(qemb_reader *reader, void *memory, uint64_t size);

#ifdef __cplusplus
}
#endif
#endif
