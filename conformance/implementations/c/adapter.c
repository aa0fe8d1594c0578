/* SPDX-License-Identifier: CC0-1.0
 *
 * The adapter of PROTOCOL.md: a file on standard input, or paths by lines with --jsonl. Beside that it reads all rows
 * at once and one by one from the last to the first, looks tokens up in each way that the reader has, and takes a
 * difference for a crash. */
#include "qemb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER = 0, ERROR = 1, UNSUPPORTED = 2, CRASH = 3 };

static const uint64_t MAX_VALUES = UINT64_C(1) << 28, MAX_SECTION = UINT64_C(1) << 30;

static void crash(const char *why)
{
    fprintf(stderr, "adapter: %s\n", why);
    exit(CRASH);
}

/* Memory of exactly `size` bytes, for sanitizers to guard; at least one, so that NULL always means that there is none.
 */
static void *grab(uint64_t size) { return size > SIZE_MAX ? NULL : malloc(size == 0 ? 1 : (size_t)size); }

/* --- a file, opened and verified ---------------------------------------------------------------------------------- */

typedef struct opened {
    qemb_file file;
    qemb_reader reader, second; /* for comparison */
    void *memory[4];
} opened;

static bool too_large(const qemb_file *file)
{
    for (int kind = 0; kind < QEMB_KINDS; kind++)
        if (file->sections[kind].raw_size > MAX_SECTION)
            return true;
    return file->header.rows > MAX_VALUES / file->header.dim;
}

static qemb_error refusal(qemb_code code)
{
    qemb_error error = {.code = code};
    return error;
}

static qemb_error open_file(opened *o, const void *data, uint64_t size)
{
    memset(o, 0, sizeof *o);
    if (qemb_open(&o->file, data, size) != QEMB_OK)
        return o->file.error;
    uint64_t scratch = qemb_reader_size(&o->file), working = qemb_verify_size(&o->file);
    if (too_large(&o->file) || (o->memory[0] = grab(scratch)) == NULL || (o->memory[1] = grab(working)) == NULL)
        return refusal(QEMB_LIMIT_MEMORY);
    if (qemb_reader_init(&o->reader, &o->file, o->memory[0], scratch) != QEMB_OK
        || qemb_verify(&o->reader, o->memory[1], working) != QEMB_OK)
        return o->reader.error;
    /* the second reader finds tokens by an index that it makes, in a file that it takes to have none */
    uint64_t index = qemb_index_size(&o->file);
    if ((o->memory[2] = grab(scratch)) == NULL || (o->memory[3] = grab(index)) == NULL)
        return refusal(QEMB_LIMIT_MEMORY);
    if (qemb_reader_init(&o->second, &o->file, o->memory[2], scratch) != QEMB_OK
        || qemb_index(&o->second, o->memory[3], index) != QEMB_OK)
        return o->second.error;
    return refusal(QEMB_OK);
}

static void close_file(opened *o)
{
    for (size_t i = 0; i < sizeof o->memory / sizeof *o->memory; i++)
        free(o->memory[i]);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void check(qemb_code code)
{
    if (code != QEMB_OK)
        crash(qemb_code_name(code)); /* the file has been verified */
}

static void put_byte(unsigned byte)
{
    static const char digits[] = "0123456789abcdef";
    putchar(digits[byte >> 4 & 15]);
    putchar(digits[byte & 15]);
}

static void put_bytes(const unsigned char *bytes, uint64_t size)
{
    putchar('"');
    for (uint64_t i = 0; i < size; i++)
        put_byte(bytes[i]);
    putchar('"');
}

static void put_bits(uint32_t bits)
{
    putchar('"');
    for (int shift = 24; shift >= 0; shift -= 8)
        put_byte(bits >> shift);
    putchar('"');
}

static void put_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put_bits(bits);
}

static void put_vector(const float *vector, uint32_t dim)
{
    for (uint32_t j = 0; j < dim; j++) {
        putchar(j == 0 ? '[' : ',');
        put_float(vector[j]);
    }
    putchar(']');
}

/* Members of objects, each after a comma, or after the brace where it is the first. */
static void put_key(const char *key, const char *before) { printf("%s\"%s\":", before, key); }

static void put_integer(const char *key, uint64_t value)
{
    put_key(key, ",");
    printf("\"%llu\"", (unsigned long long)value);
}

static void put_signed(const char *key, int64_t value)
{
    put_key(key, ",");
    printf("\"%lld\"", (long long)value);
}

static void put_crc(const char *key, uint32_t value)
{
    put_key(key, ",");
    put_bits(value);
}

static void put_structures(const qemb_file *file)
{
    const qemb_header *h = &file->header;
    printf("{\"header\":{\"major\":\"%u\"", (unsigned)h->major);
    put_integer("minor", h->minor);
    put_integer("section_count", h->section_count);
    put_integer("required_features", h->required_features);
    put_integer("optional_features", h->optional_features);
    put_integer("rows", h->rows);
    put_integer("tokens", h->tokens);
    put_integer("file_size", h->file_size);
    put_integer("dim", h->dim);
    put_integer("table_offset", h->table_offset);
    put_crc("table_crc", h->table_crc);
    put_crc("header_crc", h->header_crc);

    printf("},\"sections\":[");
    for (uint32_t i = 0; i < h->section_count; i++) {
        qemb_section s = qemb_section_at(file, i);
        printf("%s{\"kind\":\"%s\"", i == 0 ? "" : ",", s.kind);
        put_integer("flags", s.flags);
        put_integer("codec", s.codec);
        put_integer("offset", s.offset);
        put_integer("stored_size", s.stored_size);
        put_integer("raw_size", s.raw_size);
        put_integer("frame_size", s.frame_size);
        put_crc("crc", s.crc);
        putchar('}');
    }

    const qemb_quantization *q = &file->quantization;
    printf("],\"quantization\":{\"level\":\"%u\"", (unsigned)q->level);
    put_integer("bits", q->bits);
    put_integer("low_bits", q->low_bits);
    put_integer("scale_group", q->scale_group);
    put_integer("scale_type", q->scale_type);
    put_integer("offset_group", q->offset_group);
    put_integer("offset_type", q->offset_type);
    put_integer("scale_block", q->scale_block);
    put_integer("offset_block", q->offset_block);
    put_integer("row_stride", q->row_stride);
    switch (q->level) {
    case QEMB_LINEAR:
        put_signed("step", q->step);
        put_signed("bias", q->bias);
        break;
    case QEMB_CODEBOOK:
        put_integer("window", q->window);
        put_integer("shift", q->shift);
        break;
    case QEMB_PRODUCT: put_integer("sub_dim", q->sub_dim); break;
    case QEMB_DECIMAL:
        put_integer("digits", q->digits);
        put_signed("exponent_min", q->exponent_min);
        put_signed("exponent_max", q->exponent_max);
        break;
    default: put_integer("format", q->format); break;
    }
    putchar('}');

    if (qemb_has(file, QEMB_TRNS)) {
        printf(",\"transform\":{\"kind\":\"%u\"", (unsigned)file->transform.kind);
        put_integer("generator", file->transform.generator);
        put_integer("rounds", file->transform.rounds);
        put_integer("seed", file->transform.seed);
        putchar('}');
    }
    if (qemb_has(file, QEMB_SUBW)) {
        printf(",\"subword\":{\"hash\":\"%u\"", (unsigned)file->subword.hash);
        put_integer("min_n", file->subword.min_n);
        put_integer("max_n", file->subword.max_n);
        put_integer("buckets", file->subword.buckets);
        putchar('}');
    }
}

static void put_metadata(opened *o)
{
    uint64_t size = o->file.sections[QEMB_META].raw_size;
    unsigned char *metadata = grab(size);
    if (metadata == NULL)
        crash("out of memory");
    check(qemb_read(&o->reader, QEMB_META, 0, size, metadata));
    put_key("metadata", ",");
    put_bytes(metadata, size);
    free(metadata);
}

static void put_tokens(opened *o)
{
    put_key("tokens", ",");
    putchar('[');
    for (uint64_t row = 0; row < o->file.header.tokens; row++) {
        const unsigned char *token;
        uint32_t length;
        check(qemb_token(&o->reader, row, &token, &length));
        if (row > 0)
            putchar(',');
        put_bytes(token, length);
    }
    putchar(']');
}

/* Rows in blocks of about a megabyte, compared with the same rows one by one, the last first. */
static void put_vectors(opened *o)
{
    uint64_t rows = o->file.header.rows, block = 1 + (UINT64_C(1) << 18) / o->file.header.dim;
    uint32_t dim = o->file.header.dim;
    float *many = grab(4 * block * dim), *one = grab(4 * (uint64_t)dim);
    if (many == NULL || one == NULL)
        crash("out of memory");
    put_key("vectors", ",");
    putchar('[');
    for (uint64_t first = 0; first < rows; first += block) {
        uint64_t count = rows - first < block ? rows - first : block;
        check(qemb_rows(&o->reader, first, count, many));
        for (uint64_t i = count; i-- > 0;) {
            check(qemb_rows(&o->second, first + i, 1, one));
            if (memcmp(one, many + i * dim, 4 * (size_t)dim) != 0)
                crash("a row by itself is not what it is among others");
        }
        for (uint64_t i = 0; i < count; i++) {
            if (first + i > 0)
                putchar(',');
            put_vector(many + i * dim, dim);
        }
    }
    putchar(']');
    free(many);
    free(one);
}

/* The first reader looks tokens up by INDX, or else one after the other, the second by the index that it made. */
static uint64_t find(opened *o, const unsigned char *token, uint64_t length)
{
    uint64_t row, other;
    check(qemb_find(&o->second, token, length, &other));
    if (!qemb_has(&o->file, QEMB_INDX) && o->file.header.tokens > 4096)
        return other;
    check(qemb_find(&o->reader, token, length, &row));
    if (row != other)
        crash("two searches for a token end at different rows");
    return row;
}

/* Query `number` of the file: `?`, then each token with `?` after it. Its length; bytes in `query`. */
static uint64_t make_query(opened *o, uint64_t number, unsigned char *query)
{
    const unsigned char *token;
    uint32_t length = 0;
    if (number > 0) {
        check(qemb_token(&o->reader, number - 1, &token, &length));
        memcpy(query, token, length);
    }
    query[length] = '?';
    return (uint64_t)length + 1;
}

static void put_lookups(opened *o, unsigned char *query)
{
    uint64_t tokens = o->file.header.tokens;
    put_key("lookups", ",");
    putchar('[');
    for (uint64_t row = 0; row < tokens; row++) {
        const unsigned char *token;
        uint32_t length;
        check(qemb_token(&o->reader, row, &token, &length));
        memcpy(query, token, length);
        printf("\"%llu\",", (unsigned long long)find(o, query, length));
    }
    for (uint64_t i = 0; i <= tokens; i++) {
        uint64_t row = find(o, query, make_query(o, i, query));
        if (i > 0)
            putchar(',');
        if (row == QEMB_ABSENT)
            printf("\"absent\"");
        else
            printf("\"%llu\"", (unsigned long long)row);
    }
    putchar(']');
}

static void put_subword_vectors(opened *o, unsigned char *query)
{
    float *vector = grab(4 * (uint64_t)o->file.header.dim);
    if (vector == NULL)
        crash("out of memory");
    put_key("subword_vectors", ",");
    putchar('[');
    for (uint64_t i = 0; i <= o->file.header.tokens; i++) {
        uint64_t length = make_query(o, i, query);
        bool found = false, token = find(o, query, length) != QEMB_ABSENT;
        if (!token)
            check(qemb_subword_vector(&o->reader, query, length, vector, &found));
        if (i > 0)
            putchar(',');
        if (found)
            put_vector(vector, o->file.header.dim);
        else
            printf(token ? "\"token\"" : "\"none\"");
    }
    putchar(']');
    free(vector);
}

static void put_norms(opened *o)
{
    put_key("norms", ",");
    putchar('[');
    for (uint64_t row = 0; row < o->file.header.rows; row++) {
        float norm;
        check(qemb_norm(&o->reader, row, &norm));
        if (row > 0)
            putchar(',');
        put_float(norm);
    }
    putchar(']');
}

static void put_counts(opened *o)
{
    put_key("counts", ",");
    putchar('[');
    for (uint64_t row = 0; row < o->file.header.tokens; row++) {
        uint64_t count;
        check(qemb_count(&o->reader, row, &count));
        printf("%s\"%llu\"", row > 0 ? "," : "", (unsigned long long)count);
    }
    putchar(']');
}

static void put_answer(opened *o)
{
    unsigned char *query = grab(65536 + 1);
    if (query == NULL)
        crash("out of memory");
    put_structures(&o->file);
    if (qemb_has(&o->file, QEMB_META))
        put_metadata(o);
    put_tokens(o);
    put_vectors(o);
    put_lookups(o, query);
    if (qemb_has(&o->file, QEMB_SUBW))
        put_subword_vectors(o, query);
    if (qemb_has(&o->file, QEMB_NORM))
        put_norms(o);
    if (qemb_has(&o->file, QEMB_CNTS))
        put_counts(o);
    putchar('}');
    free(query);
}

/* Answer a file on standard output, in the envelope of --jsonl or without; the exit code. */
static int answer(const void *data, uint64_t size, bool envelope)
{
    opened o;
    qemb_error error = open_file(&o, data, size);
    int exit_code = error.code == QEMB_OK ? ANSWER : ERROR;
#ifndef QEMB_ZSTD
    if (error.code == QEMB_UNSUPPORTED_CODEC && o.file.error.code == QEMB_OK)
        exit_code = UNSUPPORTED; /* opening knew the codec: it is the frame that would have to be decompressed */
#endif
    if (envelope)
        printf("{\"exit\":\"%d\",\"output\":", exit_code);
    if (exit_code == ANSWER)
        put_answer(&o);
    else if (exit_code == UNSUPPORTED)
        printf("{\"unsupported\":\"zstd\"}");
    else
        printf("{\"error\":\"%s\",\"section\":\"%s\",\"offset\":\"%llu\"}", qemb_code_name(error.code), error.section,
               (unsigned long long)error.offset);
    printf(envelope ? "}\n" : "\n");
    if (fflush(stdout) != 0)
        crash("cannot write to standard output");
    close_file(&o);
    return exit_code;
}

/* --- input -------------------------------------------------------------------------------------------------------- */

/* All bytes of a stream, in memory of exactly their number. */
static unsigned char *read_all(FILE *stream, size_t *size)
{
    size_t room = 1 << 16;
    unsigned char *bytes = grab(room);
    *size = 0;
    while (bytes != NULL) {
        *size += fread(bytes + *size, 1, room - *size, stream);
        if (*size < room)
            break;
        room *= 2;
        bytes = realloc(bytes, room);
    }
    if (bytes != NULL)
        bytes = realloc(bytes, *size == 0 ? 1 : *size);
    if (bytes == NULL || ferror(stream))
        crash("cannot read the file");
    return bytes;
}

static uint32_t hex_unit(const char *digits)
{
    unsigned unit = 0;
    if (strspn(digits, "0123456789abcdefABCDEF") < 4 || sscanf(digits, "%4x", &unit) != 1)
        crash("a path has a \\u without four digits");
    return unit;
}

static char *put_utf8(char *out, uint32_t point)
{
    int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned leads[] = {0, 0xC0, 0xE0, 0xF0};
    *out++ = (char)(leads[more] | point >> 6 * more);
    while (more-- > 0)
        *out++ = (char)(0x80 | (point >> 6 * more & 0x3F));
    return out;
}

/* The path of a line {"file": "..."}, made in place. */
static char *path_of(char *line)
{
    char *at = strstr(line, "\"file\""), *out;
    if (at == NULL || (at = strchr(at + 6, '"')) == NULL)
        crash("a line is not {\"file\": PATH}");
    char *path = out = ++at;
    while (*at != '"') {
        if (*at == 0)
            crash("a path does not end");
        if (*at != '\\') {
            *out++ = *at++;
        } else if (at[1] == 'u') {
            uint32_t point = hex_unit(at + 2);
            at += 6;
            if (point >= 0xD800 && point < 0xDC00 && at[0] == '\\' && at[1] == 'u') {
                point = 0x10000 + ((point & 0x3FF) << 10) + (hex_unit(at + 2) & 0x3FF);
                at += 6;
            }
            out = put_utf8(out, point);
        } else if (at[1] == 0) {
            crash("a path does not end");
        } else {
            *out++ = at[1]; /* no path has a control character in it */
            at += 2;
        }
    }
    *out = 0;
    return path;
}

static void serve(void)
{
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *path = path_of(line);
        FILE *stream = fopen(path, "rb");
        if (stream == NULL)
            crash("cannot open a file");
        size_t size;
        unsigned char *data = read_all(stream, &size);
        fclose(stream);
        answer(data, size, true);
        free(data);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--jsonl") == 0) {
        serve();
        return 0;
    }
    size_t size;
    unsigned char *data = read_all(stdin, &size);
    int exit_code = answer(data, size, false);
    free(data);
    return exit_code;
}
