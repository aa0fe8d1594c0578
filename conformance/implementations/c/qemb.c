/* SPDX-License-Identifier: CC0-1.0
 *
 * See qemb.h. In the order of the specification: header and section table, frames, vectors, tokens, checks. */
#include "qemb.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef QEMB_ZSTD
#define ZSTD_STATIC_LINKING_ONLY /* a decompressor in memory of ours */
#include <zstd.h>
#endif

/* Values are bit for bit those of the specification only where each operation is rounded to float32 as it stands
 * (QEMB-CON-02). */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "qemb.c cannot be compiled with -ffast-math or -ffinite-math-only"
#endif
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD != 0
#error "qemb.c needs float arithmetic in float32: FLT_EVAL_METHOD == 0 (32-bit x86: -msse2 -mfpmath=sse; s390x: -fexcess-precision=fast)"
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off") /* GCC does not know the standard's pragma */
#else
#pragma STDC FP_CONTRACT OFF
#endif
_Static_assert(sizeof(float) == 4 && FLT_MANT_DIG == 24 && FLT_MAX_EXP == 128, "float is binary32");
_Static_assert(sizeof(double) == 8 && DBL_MANT_DIG == 53, "double is binary64");

enum {
    HEADER_SIZE = 64,
    ENTRY_SIZE = 40,
    FRAME_ENTRY_SIZE = 16,
    EXCEPTION_SIZE = 12,
    QUAN_SIZE = 28,
    TRNS_SIZE = 16,
    SUBW_SIZE = 16,
    CRITICAL = 1,
    COPY_SAFE = 2,
    BYTE_TOKENS = 1,
    MAX_SECTIONS = 256,
    MAX_DEPTH = 32,
    MAX_TOKEN = 65536,
    MAX_METADATA = 1 << 20,
    MAX_FRAME = 1 << 24,
    MAX_DIM = 1 << 24
};
static const uint64_t MAX_COUNT = (UINT64_C(1) << 53) - 1;
static const uint32_t EMPTY = UINT32_MAX;
static const uint64_t NONE = UINT64_MAX;

static const struct {
    char name[5];
    uint16_t flags;
} KINDS[QEMB_KINDS] = {
    {"META", COPY_SAFE},
    {"QUAN", CRITICAL },
    {"TRNS", CRITICAL },
    {"LEVL", CRITICAL },
    {"SCAL", CRITICAL },
    {"OFFS", CRITICAL },
    {"CODE", CRITICAL },
    {"HIG0", CRITICAL },
    {"HIG1", CRITICAL },
    {"HIG2", CRITICAL },
    {"HIG3", CRITICAL },
    {"EXCP", CRITICAL },
    {"TOKO", CRITICAL },
    {"TOKB", CRITICAL },
    {"INDX", 0        },
    {"NORM", 0        },
    {"CNTS", 0        },
    {"SUBW", 0        },
};

const char *qemb_code_name(qemb_code code)
{
    switch (code) {
    case QEMB_OK: return "ok";
#define QEMB_CASE(value, text) \
    case value: return text;
        QEMB_CODES(QEMB_CASE)
#undef QEMB_CASE
    }
    return "unknown";
}

static uint16_t load16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }

static uint32_t load32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64(const unsigned char *p) { return (uint64_t)load32(p) | (uint64_t)load32(p + 4) << 32; }

static int32_t load_signed32(const unsigned char *p)
{
    uint32_t bits = load32(p);
    int32_t value;
    memcpy(&value, &bits, 4);
    return value;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static uint64_t ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* a x b, or 2^53 where that is more: no section is so large (QEMB-CON-03). */
static uint64_t sized(uint64_t a, uint64_t b) { return b != 0 && a > MAX_COUNT / b ? MAX_COUNT + 1 : a * b; }

static bool all_zero(const unsigned char *p, uint64_t size)
{
    unsigned char any = 0;
    for (uint64_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

static uint32_t crc32c(const unsigned char *p, uint64_t size)
{
    /* entry b is b shifted out bit by bit; made by the compiler */
#define C1(x) ((x) >> 1 ^ (0x82F63B78u & (0u - ((x)&1u))))
#define C2(x) C1(C1(x))
#define C4(x) C2(C2(x))
#define ENTRY(b) C4(C4((uint32_t)(b)))
#define ENTRIES4(b) ENTRY(b), ENTRY((b) + 1), ENTRY((b) + 2), ENTRY((b) + 3)
#define ENTRIES16(b) ENTRIES4(b), ENTRIES4((b) + 4), ENTRIES4((b) + 8), ENTRIES4((b) + 12)
#define ENTRIES64(b) ENTRIES16(b), ENTRIES16((b) + 16), ENTRIES16((b) + 32), ENTRIES16((b) + 48)
    static const uint32_t table[256] = {ENTRIES64(0), ENTRIES64(64), ENTRIES64(128), ENTRIES64(192)};
    uint32_t crc = UINT32_MAX;
    for (uint64_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xFF];
    return ~crc;
}

static qemb_code fail(qemb_error *error, qemb_code code, const char *section, uint64_t offset)
{
    error->code = code;
    memset(error->section, 0, sizeof error->section);
    memcpy(error->section, section, strlen(section));
    error->offset = offset;
    return code;
}

bool qemb_has(const qemb_file *file, qemb_kind kind) { return file->sections[kind].kind[0] != 0; }

/* --- 2. and 3.: header and section table -------------------------------------------------------------------------- */

static qemb_code check_header(qemb_file *file, uint64_t size)
{
    static const unsigned char magic[8] = {0x89, 'Q', 'E', 'M', 'B', '\r', '\n', 0x1A};
    const unsigned char *p = file->data;
    qemb_header *h = &file->header;
    qemb_error *error = &file->error;

    if (size != 0 && memcmp(p, magic, (size_t)smaller(size, sizeof magic)) != 0)
        return fail(error, QEMB_MALFORMED_MAGIC, "", 0);
    if (size < HEADER_SIZE)
        return fail(error, QEMB_MALFORMED_TRUNCATED, "", size);
    h->major = load16(p + 8);
    h->minor = load16(p + 10);
    h->section_count = load32(p + 12);
    h->required_features = load32(p + 16);
    h->optional_features = load32(p + 20);
    h->rows = load64(p + 24);
    h->tokens = load64(p + 32);
    h->file_size = load64(p + 40);
    h->dim = load32(p + 48);
    h->table_offset = load32(p + 52);
    h->table_crc = load32(p + 56);
    h->header_crc = load32(p + 60);
    if (h->major != 1)
        return fail(error, QEMB_UNSUPPORTED_VERSION, "", 8);
    if (h->header_crc != crc32c(p, 60))
        return fail(error, QEMB_MALFORMED_HEADER_CHECKSUM, "", 60);
    if ((h->required_features & ~(uint32_t)BYTE_TOKENS) != 0)
        return fail(error, QEMB_UNSUPPORTED_FEATURE, "", 16);
    if (h->table_offset != HEADER_SIZE)
        return fail(error, QEMB_INVALID_TABLE_OFFSET, "", 52);
    if (h->section_count > MAX_SECTIONS)
        return fail(error, QEMB_LIMIT_SECTIONS, "", 12);
    if (h->dim < 1 || h->dim > MAX_DIM)
        return fail(error, QEMB_INVALID_DIM, "", 48);
    if (h->rows > MAX_COUNT || h->tokens > h->rows)
        return fail(error, QEMB_INVALID_COUNTS, "", 24);
    uint64_t table_size = (uint64_t)h->section_count * ENTRY_SIZE;
    if (h->file_size > MAX_COUNT || h->file_size < HEADER_SIZE + table_size)
        return fail(error, QEMB_INVALID_FILE_SIZE, "", 40);
    if (size < h->file_size)
        return fail(error, QEMB_MALFORMED_TRUNCATED, "", size);
    if (size > h->file_size)
        return fail(error, QEMB_INVALID_TRAILING_BYTES, "", h->file_size);
    if (h->table_crc != crc32c(p + HEADER_SIZE, table_size))
        return fail(error, QEMB_MALFORMED_TABLE_CHECKSUM, "", 56);
    return QEMB_OK;
}

qemb_section qemb_section_at(const qemb_file *file, uint32_t number)
{
    const unsigned char *p = file->data + HEADER_SIZE + (size_t)number * ENTRY_SIZE;
    qemb_section s;
    memcpy(s.kind, p, 4);
    s.kind[4] = 0;
    s.flags = load16(p + 4);
    s.codec = load16(p + 6);
    s.offset = load64(p + 8);
    s.stored_size = load64(p + 16);
    s.raw_size = load64(p + 24);
    s.frame_size = load32(p + 32);
    s.crc = load32(p + 36);
    return s;
}

static bool is_kind(const char *name)
{
    for (int i = 0; i < 4; i++) {
        bool letter = (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= 'a' && name[i] <= 'z');
        if (!letter && (i == 0 || name[i] < '0' || name[i] > '9'))
            return false;
    }
    return true;
}

static qemb_kind kind_of(const char *name)
{
    qemb_kind kind = 0;
    while (kind < QEMB_KINDS && memcmp(KINDS[kind].name, name, 4) != 0)
        kind++;
    return kind;
}

static uint64_t frame_count(const qemb_section *s) { return ceil_div(s->raw_size, s->frame_size); }

/* What an entry says by itself, in the order of check 2. `before` is the end of what precedes the section. */
static qemb_code entry_fault(const qemb_file *file, uint32_t number, const qemb_section *s, uint64_t before)
{
    if (!is_kind(s->kind))
        return QEMB_INVALID_SECTION_KIND;
    qemb_kind kind = kind_of(s->kind);
    bool known = kind < QEMB_KINDS;
    if (known ? s->flags != KINDS[kind].flags : (s->flags & ~(CRITICAL | COPY_SAFE)) != 0)
        return QEMB_INVALID_SECTION_FLAGS;
    if (!known && (s->flags & CRITICAL) != 0)
        return QEMB_UNSUPPORTED_CRITICAL_SECTION;
    for (uint32_t i = 0; i < number; i++)
        if (memcmp(file->data + HEADER_SIZE + (size_t)i * ENTRY_SIZE, s->kind, 4) == 0)
            return QEMB_INVALID_DUPLICATE_SECTION;
    if (known && s->codec == 0) {
        if (s->raw_size != s->stored_size || s->frame_size != 0)
            return QEMB_INVALID_SECTION_SIZE;
    } else if (known && s->codec == 1) {
        if (s->frame_size < 1 || s->frame_size > MAX_FRAME)
            return QEMB_INVALID_FRAME_SIZE;
        if (s->raw_size > MAX_COUNT || s->stored_size / FRAME_ENTRY_SIZE < frame_count(s))
            return QEMB_INVALID_SECTION_SIZE;
    } else if (known) {
        return QEMB_UNSUPPORTED_CODEC;
    }
    if (s->offset % 64 != 0)
        return QEMB_INVALID_ALIGNMENT;
    if (s->offset < before)
        return QEMB_INVALID_OVERLAP;
    if (s->offset > file->header.file_size || s->stored_size > file->header.file_size - s->offset)
        return QEMB_INVALID_SECTION_PAST_END;
    if (s->offset != ceil_div(before, 64) * 64)
        return QEMB_INVALID_HOLE;
    return QEMB_OK;
}

static qemb_code check_table(qemb_file *file)
{
    uint64_t end = HEADER_SIZE + (uint64_t)file->header.section_count * ENTRY_SIZE;
    for (uint32_t i = 0; i < file->header.section_count; i++) {
        qemb_section s = qemb_section_at(file, i);
        qemb_code code = entry_fault(file, i, &s, end);
        if (code != QEMB_OK)
            return fail(&file->error, code, "", HEADER_SIZE + (uint64_t)i * ENTRY_SIZE);
        qemb_kind kind = kind_of(s.kind);
        if (kind < QEMB_KINDS)
            file->sections[kind] = s;
        end = s.offset + s.stored_size;
    }
    if (end != file->header.file_size)
        return fail(&file->error, QEMB_INVALID_TRAILING_BYTES, "", end);
    return QEMB_OK;
}

/* --- 6.1, 6.5, 7.4: the structures -------------------------------------------------------------------------------- */

static bool crc_is_right(const qemb_file *file, const qemb_section *s)
{
    return s->crc == crc32c(file->data + s->offset, s->stored_size);
}

static qemb_code check_structure(qemb_file *file, qemb_kind kind, uint64_t size)
{
    const qemb_section *s = &file->sections[kind];
    if (!qemb_has(file, kind))
        return QEMB_OK;
    if (s->codec != 0)
        return fail(&file->error, QEMB_INVALID_SECTION_CODEC, s->kind, 0);
    if (s->raw_size != size)
        return fail(&file->error, QEMB_INVALID_SECTION_SIZE, s->kind, 0);
    if (!crc_is_right(file, s))
        return fail(&file->error, QEMB_MALFORMED_SECTION_CHECKSUM, s->kind, 0);
    return QEMB_OK;
}

static qemb_code parse_quantization(qemb_file *file)
{
    const unsigned char *p = file->data + file->sections[QEMB_QUAN].offset;
    const unsigned char *parameters = p + 20;
    qemb_quantization *q = &file->quantization;
    q->level = p[0];
    q->bits = p[1];
    q->low_bits = p[2];
    q->scale_group = p[4];
    q->scale_type = p[5];
    q->offset_group = p[6];
    q->offset_type = p[7];
    q->scale_block = load32(p + 8);
    q->offset_block = load32(p + 12);
    q->row_stride = load32(p + 16);

    int used = 0; /* bytes of the parameters that are not reserved */
    switch (q->level) {
    case QEMB_LINEAR:
        used = 8;
        q->step = load_signed32(parameters);
        q->bias = load_signed32(parameters + 4);
        break;
    case QEMB_CODEBOOK:
        used = 2;
        q->window = parameters[0];
        q->shift = parameters[1];
        break;
    case QEMB_PRODUCT:
        used = 4;
        q->sub_dim = load32(parameters);
        break;
    case QEMB_DECIMAL:
        used = 3;
        q->digits = parameters[0];
        memcpy(&q->exponent_min, parameters + 1, 1);
        memcpy(&q->exponent_max, parameters + 2, 1);
        break;
    case QEMB_IEEE:
        used = 1;
        q->format = parameters[0];
        break;
    default:
        used = 8; /* what is reserved cannot be known */
        break;
    }
    if (p[3] != 0 || !all_zero(parameters + used, (uint64_t)(8 - used)))
        return fail(&file->error, QEMB_MALFORMED_STRUCTURE, "QUAN", p[3] != 0 ? 3 : 20);
    if (q->level > QEMB_IEEE)
        return fail(&file->error, QEMB_UNSUPPORTED_LEVEL, "QUAN", 0);
    return QEMB_OK;
}

static uint64_t power_of_ten(unsigned n)
{
    uint64_t power = 1;
    while (n-- > 0)
        power *= 10;
    return power;
}

/* R, the rank of the greatest magnitude (6.3.4). */
static uint64_t greatest_rank(const qemb_quantization *q)
{
    uint64_t decade = 9 * power_of_ten(q->digits - 1u);
    return power_of_ten(q->digits) + (uint64_t)(q->exponent_max - q->exponent_min) * decade - 1;
}

static bool group_is_right(unsigned group, unsigned type, uint32_t block, uint32_t dim)
{
    return group <= QEMB_GROUP_BLOCK && type <= QEMB_TYPE_FLOAT16
           && (type == QEMB_TYPE_NONE) == (group == QEMB_GROUP_NONE)
           && (group == QEMB_GROUP_BLOCK ? block >= 1 && block <= dim : block == 0);
}

/* QEMB-QNT-02 to QEMB-QNT-07. */
static bool quantization_is_right(const qemb_quantization *q, uint32_t dim)
{
    bool scaled = q->scale_group != QEMB_GROUP_NONE, shifted = q->offset_group != QEMB_GROUP_NONE;
    if (q->bits < 1 || q->bits > 32 || q->low_bits > q->bits
        || !group_is_right(q->scale_group, q->scale_type, q->scale_block, dim)
        || !group_is_right(q->offset_group, q->offset_type, q->offset_block, dim))
        return false;
    switch (q->level) {
    case QEMB_LINEAR: {
        if (q->bits > 16 || !scaled || q->step < 1)
            return false;
        int64_t half = (int64_t)1 << (q->bits - 1), bound = (int64_t)1 << 24;
        return -half * q->step - q->bias >= -bound && (half - 1) * q->step - q->bias <= bound;
    }
    case QEMB_CODEBOOK: {
        if (q->bits > 8 || !scaled || q->window < q->bits || q->window > 16)
            return false;
        int most = q->window - q->bits < q->bits ? q->window - q->bits : q->bits;
        return q->window == q->bits ? q->shift == 0 : q->shift >= 1 && q->shift <= most;
    }
    case QEMB_PRODUCT: return q->bits <= 16 && q->sub_dim >= 1 && q->sub_dim <= dim;
    case QEMB_DECIMAL:
        return !scaled && !shifted && q->digits >= 1 && q->digits <= 9 && q->exponent_min >= -60
               && q->exponent_max >= q->exponent_min && q->exponent_max <= 38
               && 2 * greatest_rank(q) < (uint64_t)1 << q->bits;
    default:
        return !scaled && !shifted && q->format <= QEMB_FORMAT_BFLOAT16
               && q->bits == (q->format == QEMB_FORMAT_FLOAT32 ? 32 : 16);
    }
}

/* Bytes of a row of CODE that codes reach into. */
static uint64_t packed_size(const qemb_quantization *q) { return ceil_div((uint64_t)q->codes * q->low_bits, 8); }

static qemb_code check_structures(qemb_file *file)
{
    static const qemb_kind needed[] = {QEMB_QUAN, QEMB_TOKO, QEMB_TOKB};
    static const struct {
        qemb_kind kind;
        uint64_t size;
    } structures[] = {
        {QEMB_QUAN, QUAN_SIZE},
        {QEMB_TRNS, TRNS_SIZE},
        {QEMB_SUBW, SUBW_SIZE}
    };
    qemb_error *error = &file->error;
    qemb_code code;
    for (size_t i = 0; i < 3; i++)
        if (!qemb_has(file, needed[i]))
            return fail(error, QEMB_INVALID_MISSING_SECTION, KINDS[needed[i]].name, 0);
    for (size_t i = 0; i < 3; i++)
        if ((code = check_structure(file, structures[i].kind, structures[i].size)) != QEMB_OK)
            return code;

    qemb_quantization *q = &file->quantization;
    if ((code = parse_quantization(file)) != QEMB_OK)
        return code;
    if (!quantization_is_right(q, file->header.dim))
        return fail(error, QEMB_INVALID_QUANTIZATION, "QUAN", 0);
    q->codes = q->level == QEMB_PRODUCT ? (uint32_t)ceil_div(file->header.dim, q->sub_dim) : file->header.dim;
    if (q->low_bits != 0 ? q->row_stride < packed_size(q) : q->row_stride != 0)
        return fail(error, QEMB_INVALID_QUANTIZATION, "QUAN", 16);

    if (qemb_has(file, QEMB_TRNS)) {
        const unsigned char *p = file->data + file->sections[QEMB_TRNS].offset;
        file->transform = (qemb_transform){.kind = p[0], .generator = p[1], .rounds = p[2], .seed = load64(p + 8)};
        if (!all_zero(p + 3, 5))
            return fail(error, QEMB_MALFORMED_STRUCTURE, "TRNS", 3);
        if (p[0] != 1 || p[1] != 1)
            return fail(error, QEMB_UNSUPPORTED_TRANSFORM, "TRNS", 0);
        if (p[2] < 1 || p[2] > 8)
            return fail(error, QEMB_INVALID_TRANSFORM, "TRNS", 2);
    }
    uint32_t buckets = 0;
    if (qemb_has(file, QEMB_SUBW)) {
        const unsigned char *p = file->data + file->sections[QEMB_SUBW].offset;
        file->subword = (qemb_subword){p[0], load32(p + 4), load32(p + 8), load32(p + 12)};
        buckets = file->subword.buckets;
        if (!all_zero(p + 1, 3))
            return fail(error, QEMB_MALFORMED_STRUCTURE, "SUBW", 1);
        if (p[0] != 1)
            return fail(error, QEMB_UNSUPPORTED_SUBWORD, "SUBW", 0);
        if (file->subword.min_n < 1 || file->subword.max_n < file->subword.min_n)
            return fail(error, QEMB_INVALID_SUBWORD, "SUBW", 4);
    }
    if (file->header.rows - file->header.tokens != buckets)
        return fail(error, QEMB_INVALID_COUNTS, "", 24);
    return QEMB_OK;
}

/* --- 6.1: which sections there are, and their sizes --------------------------------------------------------------- */

static uint64_t group_size(const qemb_file *file, unsigned group, unsigned type, uint32_t block)
{
    uint64_t rows = file->header.rows, dim = file->header.dim, elements = 0;
    switch (group) {
    case QEMB_GROUP_TABLE: elements = 1; break;
    case QEMB_GROUP_ROW: elements = rows; break;
    case QEMB_GROUP_COLUMN: elements = dim; break;
    case QEMB_GROUP_BLOCK: elements = sized(rows, ceil_div(dim, block)); break;
    default: return NONE;
    }
    return sized(elements, type == QEMB_TYPE_FLOAT32 ? 4 : 2);
}

/* The raw size that a section has to have, or NONE where the descriptor has no use for it. */
static uint64_t called_for(const qemb_file *file, qemb_kind kind)
{
    const qemb_quantization *q = &file->quantization;
    uint64_t rows = file->header.rows;
    switch (kind) {
    case QEMB_LEVL:
        if (q->level == QEMB_CODEBOOK)
            return (uint64_t)1 << q->window;
        return q->level == QEMB_PRODUCT ? (4 * (uint64_t)q->codes << q->bits) * q->sub_dim : NONE;
    case QEMB_SCAL: return group_size(file, q->scale_group, q->scale_type, q->scale_block);
    case QEMB_OFFS: return group_size(file, q->offset_group, q->offset_type, q->offset_block);
    case QEMB_CODE: return q->low_bits > 0 ? sized(rows, q->row_stride) : NONE;
    case QEMB_HIG0:
    case QEMB_HIG1:
    case QEMB_HIG2:
    case QEMB_HIG3: return q->bits - q->low_bits > 8 * (int)(kind - QEMB_HIG0) ? sized(rows, q->codes) : NONE;
    case QEMB_TOKO: return (file->header.tokens + 1) * (file->sections[QEMB_TOKB].raw_size >> 32 ? 8 : 4);
    case QEMB_NORM: return 4 * rows;
    case QEMB_CNTS: return 8 * file->header.tokens;
    default: return NONE;
    }
}

static qemb_code check_sizes(qemb_file *file)
{
    qemb_error *error = &file->error;
    for (qemb_kind kind = QEMB_LEVL; kind <= QEMB_CNTS; kind++) {
        if (kind == QEMB_EXCP || kind == QEMB_TOKB || kind == QEMB_INDX)
            continue;
        uint64_t size = called_for(file, kind);
        bool optional = kind == QEMB_NORM || kind == QEMB_CNTS;
        if (!qemb_has(file, kind) && !optional && size != NONE)
            return fail(error, QEMB_INVALID_MISSING_SECTION, KINDS[kind].name, 0);
        if (qemb_has(file, kind) && size == NONE)
            return fail(error, QEMB_INVALID_UNEXPECTED_SECTION, KINDS[kind].name, 0);
        if (qemb_has(file, kind) && size != file->sections[kind].raw_size)
            return fail(error, QEMB_INVALID_SECTION_SIZE, KINDS[kind].name, 0);
    }
    if (file->sections[QEMB_META].raw_size > MAX_METADATA)
        return fail(error, QEMB_LIMIT_METADATA_SIZE, "META", 0);
    if (qemb_has(file, QEMB_EXCP) && file->quantization.level != QEMB_DECIMAL)
        return fail(error, QEMB_INVALID_UNEXPECTED_SECTION, "EXCP", 0);
    if (file->sections[QEMB_EXCP].raw_size % EXCEPTION_SIZE != 0)
        return fail(error, QEMB_INVALID_SECTION_SIZE, "EXCP", 0);
    if (qemb_has(file, QEMB_INDX)) {
        uint64_t size = file->sections[QEMB_INDX].raw_size;
        if (size % 4 != 0 || size / 4 <= file->header.tokens || size / 4 >= UINT32_MAX)
            return fail(error, QEMB_INVALID_SECTION_SIZE, "INDX", 0);
    }
    return QEMB_OK;
}

qemb_code qemb_open(qemb_file *file, const void *data, uint64_t size)
{
    qemb_code code;
    memset(file, 0, sizeof *file);
    file->data = data;
    if ((code = check_header(file, size)) != QEMB_OK || (code = check_table(file)) != QEMB_OK
        || (code = check_structures(file)) != QEMB_OK)
        return code;
    return check_sizes(file);
}

uint64_t qemb_decoded_size(const qemb_file *file)
{
    /* below 2^60: no section has 2^53 raw bytes, and there are fewer tokens than that */
    uint64_t size = 4 * sized(file->header.rows, file->header.dim) + 64 * file->header.tokens;
    if (qemb_has(file, QEMB_TRNS))
        size += 4 * (uint64_t)file->transform.rounds * file->header.dim;
    for (qemb_kind kind = 0; kind < QEMB_KINDS; kind++)
        size += file->sections[kind].raw_size;
    return size;
}

/* --- 4.: frames --------------------------------------------------------------------------------------------------- */

static uint64_t frame_raw_size(const qemb_section *s, uint64_t number)
{
    return smaller(s->frame_size, s->raw_size - number * s->frame_size);
}

static const unsigned char *frame_entry(const qemb_file *file, const qemb_section *s, uint64_t number)
{
    uint64_t table = s->offset + s->stored_size - frame_count(s) * FRAME_ENTRY_SIZE;
    return file->data + table + number * FRAME_ENTRY_SIZE;
}

/* One Zstandard frame into `out`, which has `raw_size` bytes (QEMB-FRM-05). */
static qemb_code decompress(qemb_reader *reader, const unsigned char *stored, uint32_t size, unsigned char *out,
                            uint64_t raw_size)
{
#ifdef QEMB_ZSTD
    if (size < 4 || load32(stored) != ZSTD_MAGICNUMBER || ZSTD_getFrameContentSize(stored, size) != raw_size
        || ZSTD_getDictID_fromFrame(stored, size) != 0 || ZSTD_findFrameCompressedSize(stored, size) != size)
        return QEMB_MALFORMED_FRAME;
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(reader->zstd, ZSTD_estimateDCtxSize());
    if (context == NULL)
        return QEMB_LIMIT_MEMORY;
    if (ZSTD_decompressDCtx(context, out, (size_t)raw_size, stored, size) != raw_size)
        return QEMB_MALFORMED_FRAME;
    return QEMB_OK;
#else
    (void)reader, (void)stored, (void)size, (void)out, (void)raw_size;
    return QEMB_UNSUPPORTED_CODEC;
#endif
}

/* Frame `number`, checked: at *raw, which is in the file or at `memory`. */
static qemb_code read_frame(qemb_reader *reader, qemb_kind kind, uint64_t number, unsigned char *memory,
                            const unsigned char **raw)
{
    const qemb_section *s = &reader->file->sections[kind];
    const unsigned char *entry = frame_entry(reader->file, s, number);
    uint64_t offset = load64(entry), area = s->stored_size - frame_count(s) * FRAME_ENTRY_SIZE;
    uint64_t raw_size = frame_raw_size(s, number);
    uint32_t size = load32(entry + 8);
    if (offset > area || size > area - offset)
        return fail(&reader->error, QEMB_INVALID_FRAME_TABLE, s->kind, number * s->frame_size);
    const unsigned char *stored = reader->file->data + s->offset + offset;
    if (load32(entry + 12) != crc32c(stored, size))
        return fail(&reader->error, QEMB_MALFORMED_FRAME_CHECKSUM, s->kind, number * s->frame_size);
    *raw = memory;
    if (size == raw_size) {
        *raw = stored;
        return QEMB_OK;
    }
    qemb_code code = decompress(reader, stored, size, memory, raw_size);
    return code == QEMB_OK ? code : fail(&reader->error, code, s->kind, number * s->frame_size);
}

/* Levels are taken from all over their section: in frames it is unpacked whole, once. */
static qemb_code load_levels(qemb_reader *reader)
{
    const qemb_section *s = &reader->file->sections[QEMB_LEVL];
    unsigned char *memory = reader->frames[QEMB_LEVL].memory;
    if (reader->levels != NULL)
        return QEMB_OK;
    if (s->codec == 0) {
        reader->levels = reader->file->data + s->offset;
        return QEMB_OK;
    }
    for (uint64_t i = 0; i < frame_count(s); i++) {
        const unsigned char *raw;
        unsigned char *at = memory + i * s->frame_size;
        qemb_code code = read_frame(reader, QEMB_LEVL, i, at, &raw);
        if (code != QEMB_OK)
            return code;
        if (raw != at)
            memcpy(at, raw, (size_t)frame_raw_size(s, i));
    }
    reader->levels = memory;
    return QEMB_OK;
}

/* Find raw bytes `offset` to `offset` + `length` of a section: *available of them lie at *data, fewer than `length`
 * only where a frame ends between. The caller has seen to it that they are within the section. */
static qemb_code span(qemb_reader *reader, qemb_kind kind, uint64_t offset, uint64_t length, const unsigned char **data,
                      uint64_t *available)
{
    const qemb_section *s = &reader->file->sections[kind];
    if (s->codec == 0) {
        *data = reader->file->data + s->offset + offset;
        *available = length;
        return QEMB_OK;
    }
    if (kind == QEMB_LEVL) {
        qemb_code code = load_levels(reader);
        *data = code == QEMB_OK ? reader->levels + offset : NULL;
        *available = length;
        return code;
    }
    qemb_frame *frame = &reader->frames[kind];
    uint64_t number = offset / s->frame_size, start = number * s->frame_size;
    if (frame->number != number) {
        frame->number = NONE;
        qemb_code code = read_frame(reader, kind, number, frame->memory, &frame->raw);
        if (code != QEMB_OK)
            return code;
        frame->number = number;
    }
    *data = frame->raw + (offset - start);
    *available = smaller(length, start + frame_raw_size(s, number) - offset);
    return QEMB_OK;
}

static qemb_code copy(qemb_reader *reader, qemb_kind kind, uint64_t offset, uint64_t length, unsigned char *out)
{
    while (length > 0) {
        const unsigned char *data;
        uint64_t available;
        qemb_code code = span(reader, kind, offset, length, &data, &available);
        if (code != QEMB_OK)
            return code;
        memcpy(out, data, (size_t)available);
        out += available;
        offset += available;
        length -= available;
    }
    return QEMB_OK;
}

/* Element `index` of a section of unsigned integers of `width` bytes, 2, 4 or 8. */
static qemb_code element(qemb_reader *reader, qemb_kind kind, uint64_t index, unsigned width, uint64_t *value)
{
    const qemb_section *s = &reader->file->sections[kind];
    unsigned char bytes[8] = {0};
    const unsigned char *p = bytes;
    if (s->codec == 0) {
        p = reader->file->data + s->offset + index * width;
    } else {
        qemb_code code = copy(reader, kind, index * width, width, bytes);
        if (code != QEMB_OK)
            return code;
    }
    *value = width == 2 ? load16(p) : width == 4 ? load32(p) : load64(p);
    return QEMB_OK;
}

qemb_code qemb_read(qemb_reader *reader, qemb_kind kind, uint64_t offset, uint64_t length, void *out)
{
    uint64_t size = reader->file->sections[kind].raw_size;
    if (!qemb_has(reader->file, kind) || offset > size || length > size - offset)
        return fail(&reader->error, QEMB_ARGUMENT, KINDS[kind].name, offset);
    return copy(reader, kind, offset, length, out);
}

/* --- a reader's memory -------------------------------------------------------------------------------------------- */

/* Give out `size` bytes at a multiple of 16 of the scratch memory at `memory`; only count them where it is NULL. */
static unsigned char *take(unsigned char *memory, uint64_t *used, uint64_t size)
{
    unsigned char *at = memory == NULL ? NULL : memory + *used;
    *used += ceil_div(size, 16) * 16;
    return at;
}

static uint64_t lay_out(qemb_reader *reader, const qemb_file *file, unsigned char *memory)
{
    uint64_t used = 0;
    bool frames = false;
    reader->codes = (void *)take(memory, &used, 4 * (uint64_t)file->quantization.codes);
    if (qemb_has(file, QEMB_SUBW) || qemb_has(file, QEMB_NORM))
        reader->row = (void *)take(memory, &used, 4 * (uint64_t)file->header.dim);
    for (qemb_kind kind = 0; kind < QEMB_KINDS; kind++) {
        const qemb_section *s = &file->sections[kind];
        reader->frames[kind].number = NONE;
        if (s->codec == 0)
            continue;
        uint64_t size = kind == QEMB_LEVL ? s->raw_size : smaller(s->frame_size, s->raw_size);
        reader->frames[kind].memory = take(memory, &used, size);
        frames = true;
    }
    if (file->sections[QEMB_TOKB].codec != 0)
        reader->token = take(memory, &used, MAX_TOKEN);
#ifdef QEMB_ZSTD
    if (frames)
        reader->zstd = take(memory, &used, ZSTD_estimateDCtxSize());
#else
    (void)frames;
#endif
    return used;
}

/* Bytes from `memory` to the next multiple of 16. */
static uint64_t misaligned(const void *memory) { return (16 - (uintptr_t)memory % 16) % 16; }

uint64_t qemb_reader_size(const qemb_file *file)
{
    qemb_reader reader = {0};
    return lay_out(&reader, file, NULL) + 15;
}

qemb_code qemb_reader_init(qemb_reader *reader, const qemb_file *file, void *memory, uint64_t size)
{
    memset(reader, 0, sizeof *reader);
    reader->file = file;
    if (memory == NULL || size < qemb_reader_size(file))
        return fail(&reader->error, QEMB_LIMIT_MEMORY, "", 0);
    lay_out(reader, file, (unsigned char *)memory + misaligned(memory));
    reader->exception_row = NONE;
    return QEMB_OK;
}

/* --- 6.2: unpacking ----------------------------------------------------------------------------------------------- */

static uint32_t low_mask(unsigned bits) { return bits >= 32 ? UINT32_MAX : ((uint32_t)1 << bits) - 1; }

/* The codes of a row into reader->codes. */
static qemb_code unpack(qemb_reader *reader, uint64_t row)
{
    const qemb_quantization *q = &reader->file->quantization;
    const unsigned char *data;
    uint64_t available;
    uint32_t *codes = reader->codes;
    qemb_code code;

    uint64_t waiting = 0; /* bits of CODE that are not yet in a code */
    unsigned count = 0;
    uint32_t done = 0;
    uint64_t offset = row * q->row_stride, left = packed_size(q);
    for (; left > 0; offset += available, left -= available) {
        if ((code = span(reader, QEMB_CODE, offset, left, &data, &available)) != QEMB_OK)
            return code;
        for (uint64_t i = 0; i < available; i++) {
            waiting |= (uint64_t)data[i] << count;
            for (count += 8; count >= q->low_bits && done < q->codes; count -= q->low_bits) {
                codes[done++] = (uint32_t)waiting & low_mask(q->low_bits);
                waiting >>= q->low_bits;
            }
        }
    }
    if (q->low_bits == 0)
        memset(codes, 0, 4 * (size_t)q->codes);

    for (unsigned shift = q->low_bits, plane = QEMB_HIG0; shift < q->bits; shift += 8, plane++) {
        offset = row * q->codes;
        uint32_t *high = codes;
        for (left = q->codes; left > 0; offset += available, left -= available) {
            if ((code = span(reader, (qemb_kind)plane, offset, left, &data, &available)) != QEMB_OK)
                return code;
            for (uint64_t i = 0; i < available; i++)
                *high++ |= (uint32_t)data[i] << shift & low_mask(q->bits);
        }
    }
    return QEMB_OK;
}

/* --- 6.3: levels -------------------------------------------------------------------------------------------------- */

static void linear_levels(const qemb_quantization *q, const uint32_t *codes, float *out)
{
    int64_t sign = (int64_t)1 << (q->bits - 1);
    for (uint32_t j = 0; j < q->codes; j++)
        out[j] = (float)(q->step * (((int64_t)codes[j] ^ sign) - sign) - q->bias);
}

static float level8(unsigned char byte) { return (float)(byte < 128 ? byte : byte - 256); }

static void codebook_levels(const qemb_quantization *q, const unsigned char *levels, const uint32_t *codes, float *out)
{
    if (q->window == q->bits) {
        for (uint32_t j = 0; j < q->codes; j++)
            out[j] = level8(levels[codes[j]]);
        return;
    }
    unsigned m = (unsigned)q->window - q->bits, k = q->shift, before = (m + k - 1) / k;
    uint32_t state_register = 0;
    uint32_t j = (q->codes - before % q->codes) % q->codes;
    for (unsigned i = 0; i < before; i++, j = j + 1 == q->codes ? 0 : j + 1)
        state_register = state_register >> k | (codes[j] & low_mask(k)) << (m - k);
    for (j = 0; j < q->codes; j++) {
        out[j] = level8(levels[codes[j] << m | state_register]);
        state_register = state_register >> k | (codes[j] & low_mask(k)) << (m - k);
    }
}

static void product_levels(const qemb_quantization *q, uint32_t dim, const unsigned char *levels, const uint32_t *codes,
                           float *out)
{
    for (uint32_t j = 0; j < q->codes; j++) {
        uint64_t sub_vector = ((uint64_t)j << q->bits) + codes[j];
        uint64_t start = (uint64_t)j * q->sub_dim;
        const unsigned char *p = levels + 4 * sub_vector * q->sub_dim;
        for (uint64_t i = 0; i < q->sub_dim && start + i < dim; i++) {
            uint32_t bits = load32(p + 4 * i);
            memcpy(out + start + i, &bits, 4);
        }
    }
}

static uint32_t float32_of_float16(uint32_t half)
{
    uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3FF;
    if (exponent == 31)
        return sign | 0x7F800000 | fraction << 13;
    if (exponent != 0)
        return sign | (exponent + 112) << 23 | fraction << 13;
    if (fraction == 0)
        return sign;
    exponent = 113; /* subnormal: shift until the bit that float32 leaves out is at its place */
    for (; (fraction & 0x400) == 0; exponent--)
        fraction <<= 1;
    return sign | exponent << 23 | (fraction & 0x3FF) << 13;
}

static void ieee_values(const qemb_quantization *q, const uint32_t *codes, float *out)
{
    uint32_t top = (uint32_t)1 << (q->bits - 1);
    for (uint32_t j = 0; j < q->codes; j++) {
        uint32_t bits = (codes[j] & top) != 0 ? codes[j] ^ top : ~codes[j] & low_mask(q->bits);
        if (q->format == QEMB_FORMAT_FLOAT16)
            bits = float32_of_float16(bits);
        else if (q->format == QEMB_FORMAT_BFLOAT16)
            bits <<= 16;
        memcpy(out + j, &bits, 4);
    }
}

/* 6.3.4. Natural numbers below 2^256, least significant limb first. */
enum { LIMBS = 8 };
typedef struct natural {
    uint32_t limb[LIMBS];
} natural;

static void multiply(natural *n, uint32_t by)
{
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)n->limb[i] * by;
        n->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static int compare(const natural *a, const natural *b)
{
    for (int i = LIMBS - 1; i >= 0; i--)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static void subtract(natural *a, const natural *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        uint64_t difference = (uint64_t)a->limb[i] - b->limb[i] - borrow;
        a->limb[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
}

/* Bits of the float32 nearest to significand x 10^exponent, ties to even, by long division. The significand is below
 * 2^30 and not 0, the exponent -60 to 38, so that numbers stay below 2^170. */
static uint32_t nearest_exactly(uint32_t significand, int exponent)
{
    natural numerator = {{significand}}, denominator = {{1}};
    for (int i = 0; i < exponent; i++)
        multiply(&numerator, 5);
    for (int i = 0; i > exponent; i--)
        multiply(&denominator, 5);
    int power = exponent; /* value = numerator / denominator x 2^power */
    for (; compare(&numerator, &denominator) < 0; power--)
        multiply(&numerator, 2);
    for (;; power++) {
        natural twice = denominator;
        multiply(&twice, 2);
        if (compare(&numerator, &twice) < 0)
            break;
        denominator = twice;
    }
    if (power > 127)
        return 0x7F800000;
    if (power < -150)
        return 0;
    int digits = power >= -126 ? 24 : power + 150; /* of the significand */
    uint32_t quotient = 0;
    for (int i = 0; i < digits; i++) {
        quotient <<= 1;
        if (compare(&numerator, &denominator) >= 0) {
            subtract(&numerator, &denominator);
            quotient |= 1;
        }
        multiply(&numerator, 2);
    }
    int half = compare(&numerator, &denominator); /* what is left, beside half a unit of the quotient */
    if (half > 0 || (half == 0 && (quotient & 1) != 0))
        quotient++;
    /* a carry out of the significand goes up the exponent, to infinity at last */
    return power >= -126 ? ((uint32_t)(power + 126) << 23) + quotient : quotient;
}

/* Bits of the float32 nearest to significand x 10^exponent. */
static uint32_t nearest(uint32_t significand, int exponent)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (significand == 0)
        return 0;
    if (exponent < -22 || exponent > 22)
        return nearest_exactly(significand, exponent);
    /* Both factors are exact, so that the double is the one nearest to the value; and the float nearest to it is the
     * one nearest to the value, unless the double stands halfway between two. Both are far from the ends of float32's
     * range. */
    double wide = exponent < 0 ? significand / powers[-exponent] : significand * powers[exponent];
    uint64_t wide_bits;
    memcpy(&wide_bits, &wide, 8);
    if ((wide_bits & 0x1FFFFFFF) == 0x10000000)
        return nearest_exactly(significand, exponent);
    float narrow = (float)wide;
    uint32_t bits;
    memcpy(&bits, &narrow, 4);
    return bits;
}

static qemb_code decimal_values(qemb_reader *reader, uint64_t row, float *out)
{
    const qemb_quantization *q = &reader->file->quantization;
    uint64_t rank = greatest_rank(q), whole = power_of_ten(q->digits), decade = 9 * power_of_ten(q->digits - 1u);
    for (uint32_t j = 0; j < q->codes; j++) {
        uint64_t code = reader->codes[j];
        if (code > 2 * rank)
            return fail(&reader->error, QEMB_INVALID_CODE, q->low_bits != 0 ? "CODE" : "HIG0",
                        row * (q->low_bits != 0 ? q->row_stride : q->codes));
        uint64_t m = code < rank ? rank - code : code - rank;
        int exponent = q->exponent_min;
        if (m >= whole) {
            uint64_t t = m - whole;
            m = decade / 9 + t % decade;
            exponent += 1 + (int)(t / decade);
        }
        uint32_t bits = nearest((uint32_t)m, exponent) | (code < rank ? 0x80000000 : 0);
        memcpy(out + j, &bits, 4);
    }
    return QEMB_OK;
}

static qemb_code exception_position(qemb_reader *reader, uint64_t number, uint64_t *position)
{
    unsigned char bytes[8];
    qemb_code code = copy(reader, QEMB_EXCP, number * EXCEPTION_SIZE, 8, bytes);
    *position = load64(bytes);
    return code;
}

/* Put the exceptions of a row over its values. */
static qemb_code place_exceptions(qemb_reader *reader, uint64_t row, float *out)
{
    const qemb_file *file = reader->file;
    uint64_t count = file->sections[QEMB_EXCP].raw_size / EXCEPTION_SIZE;
    uint64_t first = row * file->header.dim, end = first + file->header.dim, position;
    qemb_code code;
    if (reader->exception_row != row) { /* rows in order find the next exception where the last row left off */
        uint64_t high = count;
        for (reader->exception = 0; reader->exception < high;) {
            uint64_t middle = reader->exception + (high - reader->exception) / 2;
            if ((code = exception_position(reader, middle, &position)) != QEMB_OK)
                return code;
            if (position < first)
                reader->exception = middle + 1;
            else
                high = middle;
        }
    }
    reader->exception_row = NONE;
    for (; reader->exception < count; reader->exception++) {
        unsigned char bytes[4];
        if ((code = exception_position(reader, reader->exception, &position)) != QEMB_OK)
            return code;
        if (position < first || position >= end)
            break;
        if ((code = copy(reader, QEMB_EXCP, reader->exception * EXCEPTION_SIZE + 8, 4, bytes)) != QEMB_OK)
            return code;
        uint32_t bits = load32(bytes);
        memcpy(out + (position - first), &bits, 4);
    }
    reader->exception_row = row + 1;
    return QEMB_OK;
}

/* --- 6.4: scale and offset ---------------------------------------------------------------------------------------- */

static qemb_code float_element(qemb_reader *reader, qemb_kind kind, unsigned type, uint64_t index, float *value)
{
    uint64_t bits = 0;
    qemb_code code = element(reader, kind, index, type == QEMB_TYPE_FLOAT16 ? 2 : 4, &bits);
    *value = float_of_bits(type == QEMB_TYPE_FLOAT16 ? float32_of_float16((uint32_t)bits) : (uint32_t)bits);
    return code;
}

/* SCAL or OFFS over the values of a row. Products and sums are made in different passes, so that none can be fused. */
static qemb_code apply_group(qemb_reader *reader, qemb_kind kind, uint64_t row, float *out)
{
    const qemb_quantization *q = &reader->file->quantization;
    uint64_t dim = reader->file->header.dim, index = 0, width = dim;
    bool scale = kind == QEMB_SCAL;
    unsigned type = scale ? q->scale_type : q->offset_type;
    switch (scale ? q->scale_group : q->offset_group) {
    case QEMB_GROUP_NONE: return QEMB_OK;
    case QEMB_GROUP_ROW: index = row; break;
    case QEMB_GROUP_COLUMN: width = 1; break;
    case QEMB_GROUP_BLOCK:
        width = scale ? q->scale_block : q->offset_block;
        index = row * ceil_div(dim, width);
        break;
    default: break;
    }
    for (uint64_t start = 0; start < dim; start += width, index++) {
        uint64_t end = smaller(start + width, dim);
        float value;
        qemb_code code = float_element(reader, kind, type, index, &value);
        if (code != QEMB_OK)
            return code;
        if (scale)
            for (uint64_t j = start; j < end; j++)
                out[j] = value * out[j];
        else
            for (uint64_t j = start; j < end; j++)
                out[j] = value + out[j];
    }
    return QEMB_OK;
}

/* --- 6.5: transform ----------------------------------------------------------------------------------------------- */

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static void hadamard(float *y, uint32_t p)
{
    /* 1 / sqrt(p): a power of two, or one times the float32 nearest to 1 / sqrt(2) */
    float factor = 1;
    uint32_t left = p;
    for (; left >= 4; left /= 4)
        factor *= 0.5f;
    if (left == 2)
        factor *= 0x1.6a09e6p-1f;
    for (uint32_t h = 1; h < p; h *= 2)
        for (uint32_t start = 0; start < p; start += 2 * h)
            for (uint32_t k = start; k < start + h; k++) {
                float sum = y[k] + y[k + h], difference = y[k] - y[k + h];
                y[k] = sum;
                y[k + h] = difference;
            }
    for (uint32_t k = 0; k < p; k++)
        y[k] *= factor;
}

static void transform(const qemb_file *file, float *x)
{
    uint32_t dim = file->header.dim, p = 1;
    uint64_t state = file->transform.seed;
    while (p <= dim / 2)
        p *= 2;
    for (unsigned round = 0; round < file->transform.rounds; round++) {
        uint64_t word = 0;
        for (uint32_t j = 0; j < dim; j++) {
            word = j % 64 == 0 ? splitmix64(&state) : word >> 1;
            if ((word & 1) != 0)
                x[j] = -x[j];
        }
        hadamard(x, p);
        if (p < dim)
            hadamard(x + (dim - p), p);
    }
}

static qemb_code decode_row(qemb_reader *reader, uint64_t row, float *out)
{
    const qemb_file *file = reader->file;
    const qemb_quantization *q = &file->quantization;
    qemb_code code = unpack(reader, row);
    if (code == QEMB_OK && (q->level == QEMB_CODEBOOK || q->level == QEMB_PRODUCT))
        code = load_levels(reader);
    if (code != QEMB_OK)
        return code;
    switch (q->level) {
    case QEMB_LINEAR: linear_levels(q, reader->codes, out); break;
    case QEMB_CODEBOOK: codebook_levels(q, reader->levels, reader->codes, out); break;
    case QEMB_PRODUCT: product_levels(q, file->header.dim, reader->levels, reader->codes, out); break;
    case QEMB_DECIMAL: code = decimal_values(reader, row, out); break;
    default: ieee_values(q, reader->codes, out); break;
    }
    if (code == QEMB_OK && qemb_has(file, QEMB_EXCP))
        code = place_exceptions(reader, row, out);
    if (code == QEMB_OK)
        code = apply_group(reader, QEMB_SCAL, row, out);
    if (code == QEMB_OK)
        code = apply_group(reader, QEMB_OFFS, row, out);
    if (code == QEMB_OK && qemb_has(file, QEMB_TRNS))
        transform(file, out);
    return code;
}

qemb_code qemb_rows(qemb_reader *reader, uint64_t first, uint64_t count, float *out)
{
    uint64_t rows = reader->file->header.rows;
    if (first > rows || count > rows - first)
        return fail(&reader->error, QEMB_ARGUMENT, "", first);
    for (uint64_t i = 0; i < count; i++) {
        qemb_code code = decode_row(reader, first + i, out + (size_t)i * reader->file->header.dim);
        if (code != QEMB_OK)
            return code;
    }
    return QEMB_OK;
}

/* --- 7.: tokens --------------------------------------------------------------------------------------------------- */

static qemb_code token_bounds(qemb_reader *reader, uint64_t row, uint64_t *start, uint32_t *length)
{
    uint64_t total = reader->file->sections[QEMB_TOKB].raw_size, end;
    unsigned width = total >> 32 != 0 ? 8 : 4;
    qemb_code code = element(reader, QEMB_TOKO, row, width, start);
    if (code == QEMB_OK)
        code = element(reader, QEMB_TOKO, row + 1, width, &end);
    if (code != QEMB_OK)
        return code;
    if (*start > end || end > total)
        return fail(&reader->error, QEMB_INVALID_TOKEN_OFFSETS, "TOKO", (row + 1) * width);
    if (end - *start > MAX_TOKEN)
        return fail(&reader->error, QEMB_INVALID_TOKEN_LENGTH, "TOKO", (row + 1) * width);
    *length = (uint32_t)(end - *start);
    return QEMB_OK;
}

qemb_code qemb_token(qemb_reader *reader, uint64_t row, const unsigned char **token, uint32_t *length)
{
    uint64_t start;
    if (row >= reader->file->header.tokens)
        return fail(&reader->error, QEMB_ARGUMENT, "TOKO", 0);
    qemb_code code = token_bounds(reader, row, &start, length);
    if (code != QEMB_OK)
        return code;
    const qemb_section *s = &reader->file->sections[QEMB_TOKB];
    *token = s->codec == 0 ? reader->file->data + s->offset + start : reader->token;
    return s->codec == 0 ? QEMB_OK : copy(reader, QEMB_TOKB, start, *length, reader->token);
}

/* Whether the token of a row is these bytes, which may lie in reader->token. */
static qemb_code same_token(qemb_reader *reader, uint64_t row, const unsigned char *bytes, uint64_t length, bool *same)
{
    uint64_t start;
    uint32_t left;
    qemb_code code = token_bounds(reader, row, &start, &left);
    *same = code == QEMB_OK && left == length;
    while (*same && left > 0) {
        const unsigned char *data;
        uint64_t available;
        if ((code = span(reader, QEMB_TOKB, start, left, &data, &available)) != QEMB_OK)
            return code;
        *same = memcmp(data, bytes, (size_t)available) == 0;
        bytes += available;
        start += available;
        left -= (uint32_t)available;
    }
    return code;
}

static uint64_t first_slot(uint32_t hash, uint64_t slots) { return (uint64_t)hash * slots >> 32; }

static qemb_code find_in_section(qemb_reader *reader, const unsigned char *token, uint64_t length, uint64_t *row)
{
    uint64_t slots = reader->file->sections[QEMB_INDX].raw_size / 4, value;
    uint64_t slot = first_slot(crc32c(token, length), slots);
    for (uint64_t i = 0; i < slots; i++) {
        bool same;
        qemb_code code = element(reader, QEMB_INDX, slot, 4, &value);
        if (code != QEMB_OK || value == EMPTY)
            return code;
        if (value >= reader->file->header.tokens)
            return fail(&reader->error, QEMB_INVALID_INDEX, "INDX", 4 * slot);
        if ((code = same_token(reader, value, token, length, &same)) != QEMB_OK)
            return code;
        if (same) {
            *row = value;
            return QEMB_OK;
        }
        slot = slot + 1 == slots ? 0 : slot + 1;
    }
    return fail(&reader->error, QEMB_INVALID_INDEX, "INDX", 0); /* an index has an empty slot */
}

/* The search in reader->index, whose slots hold a row below 2^32 under the CRC of its token. *slot is where it ended.
 */
static qemb_code find_in_memory(qemb_reader *reader, const unsigned char *token, uint64_t length, uint64_t *row,
                                uint64_t *slot)
{
    uint32_t hash = crc32c(token, length);
    for (*slot = first_slot(hash, reader->slots); reader->index[*slot] != NONE; *slot = (*slot + 1) % reader->slots) {
        uint64_t value = reader->index[*slot];
        bool same;
        if (value >> 32 != hash)
            continue;
        qemb_code code = same_token(reader, value & UINT32_MAX, token, length, &same);
        if (code != QEMB_OK)
            return code;
        if (same) {
            *row = value & UINT32_MAX;
            return QEMB_OK;
        }
    }
    return QEMB_OK;
}

qemb_code qemb_find(qemb_reader *reader, const void *token, uint64_t length, uint64_t *row)
{
    uint64_t slot;
    *row = QEMB_ABSENT;
    if (length > MAX_TOKEN)
        return QEMB_OK;
    if (reader->index != NULL)
        return find_in_memory(reader, token, length, row, &slot);
    if (qemb_has(reader->file, QEMB_INDX))
        return find_in_section(reader, token, length, row);
    for (uint64_t i = 0; i < reader->file->header.tokens; i++) {
        bool same;
        qemb_code code = same_token(reader, i, token, length, &same);
        if (code != QEMB_OK)
            return code;
        if (same) {
            *row = i;
            return QEMB_OK;
        }
    }
    return QEMB_OK;
}

uint64_t qemb_index_size(const qemb_file *file)
{
    uint64_t tokens = file->header.tokens;
    return 8 * (tokens + tokens / 2 + 1) + 15;
}

/* An index in the reader without tokens in it. */
static qemb_code empty_index(qemb_reader *reader, void *memory, uint64_t size)
{
    uint64_t tokens = reader->file->header.tokens;
    if (memory == NULL || size < qemb_index_size(reader->file) || tokens >= UINT32_MAX)
        return fail(&reader->error, QEMB_LIMIT_MEMORY, "", 0);
    reader->index = (void *)((unsigned char *)memory + misaligned(memory));
    reader->slots = tokens + tokens / 2 + 1;
    for (uint64_t i = 0; i < reader->slots; i++)
        reader->index[i] = NONE;
    return QEMB_OK;
}

/* Put the token of a row into the index. */
static qemb_code insert(qemb_reader *reader, uint64_t row, const unsigned char *token, uint32_t length)
{
    uint64_t other = QEMB_ABSENT, slot;
    qemb_code code = find_in_memory(reader, token, length, &other, &slot);
    if (code != QEMB_OK)
        return code;
    if (other != QEMB_ABSENT)
        return fail(&reader->error, QEMB_INVALID_DUPLICATE_TOKEN, "TOKO", 0);
    reader->index[slot] = (uint64_t)crc32c(token, length) << 32 | row;
    return QEMB_OK;
}

qemb_code qemb_index(qemb_reader *reader, void *memory, uint64_t size)
{
    qemb_code code = empty_index(reader, memory, size);
    for (uint64_t row = 0; code == QEMB_OK && row < reader->file->header.tokens; row++) {
        const unsigned char *token;
        uint32_t length;
        if ((code = qemb_token(reader, row, &token, &length)) == QEMB_OK)
            code = insert(reader, row, token, length);
    }
    if (code != QEMB_OK)
        reader->index = NULL;
    return code;
}

qemb_code qemb_norm(qemb_reader *reader, uint64_t row, float *norm)
{
    if (!qemb_has(reader->file, QEMB_NORM) || row >= reader->file->header.rows)
        return fail(&reader->error, QEMB_ARGUMENT, "NORM", 0);
    return float_element(reader, QEMB_NORM, QEMB_TYPE_FLOAT32, row, norm);
}

qemb_code qemb_count(qemb_reader *reader, uint64_t token, uint64_t *count)
{
    if (!qemb_has(reader->file, QEMB_CNTS) || token >= reader->file->header.tokens)
        return fail(&reader->error, QEMB_ARGUMENT, "CNTS", 0);
    return element(reader, QEMB_CNTS, token, 8, count);
}

/* --- 7.4: subwords ------------------------------------------------------------------------------------------------ */

/* Byte `i` of a word of `length` bytes between `<` and `>`. */
static unsigned char bracketed(const unsigned char *word, uint64_t length, uint64_t i)
{
    return i == 0 ? '<' : i == length + 1 ? '>' : word[i - 1];
}

qemb_code qemb_subword_vector(qemb_reader *reader, const void *word, uint64_t length, float *out, bool *found)
{
    const qemb_subword *subword = &reader->file->subword;
    uint32_t dim = reader->file->header.dim;
    uint64_t end = length + 2, ngrams = 0;
    *found = false;
    if (!qemb_has(reader->file, QEMB_SUBW))
        return fail(&reader->error, QEMB_ARGUMENT, "SUBW", 0);
    if (subword->buckets == 0)
        return QEMB_OK;
    for (uint64_t start = 0; start < end; start++) {
        if ((bracketed(word, length, start) & 0xC0) == 0x80)
            continue;
        uint32_t hash = 0x811C9DC5;
        uint64_t at = start;
        for (uint64_t n = 1; n <= subword->max_n && at < end; n++) {
            do { /* one character */
                uint32_t byte = bracketed(word, length, at++);
                hash = (hash ^ (byte < 128 ? byte : byte | 0xFFFFFF00)) * 0x01000193;
            } while (at < end && (bracketed(word, length, at) & 0xC0) == 0x80);
            if (n < subword->min_n || (n == 1 && (start == 0 || at == end)))
                continue;
            qemb_code code = decode_row(reader, reader->file->header.tokens + hash % subword->buckets, reader->row);
            if (code != QEMB_OK)
                return code;
            if (ngrams++ == 0)
                memset(out, 0, 4 * (size_t)dim);
            for (uint32_t j = 0; j < dim; j++)
                out[j] += reader->row[j];
        }
    }
    *found = ngrams != 0;
    for (uint32_t j = 0; *found && j < dim; j++)
        out[j] /= (float)ngrams;
    return QEMB_OK;
}

/* --- 8.: verifying ------------------------------------------------------------------------------------------------ */

/* Bytes of the UTF-8 character at `p`, 0 where there is none. */
static unsigned utf8_character(const unsigned char *p, uint64_t left)
{
    unsigned char lead = p[0], low = 0x80, high = 0xBF; /* bounds of the second byte */
    unsigned size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    if (size > left)
        return 0;
    for (unsigned i = 1; i < size; i++, low = 0x80, high = 0xBF)
        if (p[i] < low || p[i] > high)
            return 0;
    return size;
}

static bool is_utf8(const unsigned char *p, uint64_t size)
{
    for (unsigned step; size > 0; p += step, size -= step)
        if ((step = utf8_character(p, size)) == 0)
            return false;
    return true;
}

/* JSON of at most MAX_METADATA bytes in UTF-8, whose brackets nest at most MAX_DEPTH deep: so deep it may recurse. */
typedef struct json {
    const unsigned char *text, *at, *end;
    uint32_t *keys; /* where those of the open objects begin; an object's after those of the one around it */
    uint32_t key_count;
    bool key_twice;
} json;

static void skip_space(json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
}

static bool skip_byte(json *j, unsigned char byte)
{
    if (j->at == j->end || *j->at != byte)
        return false;
    j->at++;
    return true;
}

static bool skip_digits(json *j)
{
    const unsigned char *start = j->at;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
        j->at++;
    return j->at > start;
}

static bool skip_number(json *j)
{
    skip_byte(j, '-');
    if (!skip_byte(j, '0') && !skip_digits(j))
        return false;
    if (skip_byte(j, '.') && !skip_digits(j))
        return false;
    if (skip_byte(j, 'e') || skip_byte(j, 'E')) {
        if (!skip_byte(j, '+'))
            skip_byte(j, '-');
        return skip_digits(j);
    }
    return true;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20; /* lower case */
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool skip_string(json *j)
{
    if (!skip_byte(j, '"'))
        return false;
    while (j->at < j->end && *j->at != '"') {
        if (*j->at < 0x20)
            return false;
        if (*j->at++ != '\\')
            continue;
        if (j->at == j->end || *j->at == 0 || strchr("\"\\/bfnrtu", *j->at) == NULL)
            return false;
        if (*j->at++ == 'u')
            for (int i = 0; i < 4; i++, j->at++)
                if (j->at == j->end || hex_digit(*j->at) < 0)
                    return false;
    }
    return skip_byte(j, '"');
}

/* The next unit of a string in UTF-16, or -1 at its end. *low is the second half of a pair that is due; 0 at the
 * beginning. */
static long next_unit(const unsigned char **at, uint32_t *low)
{
    const unsigned char *p = *at;
    if (*low != 0) {
        uint32_t unit = *low;
        *low = 0;
        return (long)unit;
    }
    if (*p == '"')
        return -1;
    if (*p == '\\') {
        static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
        if (p[1] == 'u') {
            long unit = 0;
            for (*at += 2; *at < p + 6; ++*at)
                unit = unit << 4 | hex_digit(**at);
            return unit;
        }
        const char *name = strchr(names, p[1]);
        *at += 2;
        return name != NULL ? values[name - names] : p[1];
    }
    unsigned size = utf8_character(p, 4);
    uint32_t point = size == 1 ? p[0] : p[0] & (0x7Fu >> size);
    for (unsigned i = 1; i < size; i++)
        point = point << 6 | (p[i] & 0x3F);
    *at += size;
    if (point < 0x10000)
        return (long)point;
    *low = 0xDC00 | (point & 0x3FF);
    return (long)(0xD7C0 + (point >> 10));
}

static int compare_keys(const json *j, uint32_t a, uint32_t b)
{
    const unsigned char *at_a = j->text + a, *at_b = j->text + b;
    uint32_t low_a = 0, low_b = 0;
    for (;;) {
        long unit_a = next_unit(&at_a, &low_a), unit_b = next_unit(&at_b, &low_b);
        if (unit_a != unit_b)
            return unit_a < unit_b ? -1 : 1;
        if (unit_a < 0)
            return 0;
    }
}

static void sift_down(const json *j, uint32_t *keys, uint32_t at, uint32_t count)
{
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare_keys(j, keys[child], keys[child + 1]) < 0)
            child++;
        if (compare_keys(j, keys[at], keys[child]) >= 0)
            return;
        uint32_t swapped = keys[at];
        keys[at] = keys[child];
        keys[child] = swapped;
    }
}

/* Whether a key stands twice in an object: by heapsort, which no file can make slow. */
static bool any_twice(const json *j, uint32_t *keys, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(j, keys, i, count);
    for (uint32_t end = count; end > 1;) {
        uint32_t greatest = keys[0];
        keys[0] = keys[--end];
        keys[end] = greatest;
        sift_down(j, keys, 0, end);
        if (compare_keys(j, keys[0], greatest) == 0)
            return true;
    }
    return false;
}

static bool skip_value(json *j);

static bool skip_object(json *j)
{
    uint32_t first = j->key_count;
    skip_space(j);
    if (skip_byte(j, '}'))
        return true;
    do {
        skip_space(j);
        j->keys[j->key_count++] = (uint32_t)(j->at - j->text) + 1;
        if (!skip_string(j))
            return false;
        skip_space(j);
        if (!skip_byte(j, ':') || !skip_value(j))
            return false;
    } while (skip_byte(j, ','));
    j->key_twice = j->key_twice || any_twice(j, j->keys + first, j->key_count - first);
    j->key_count = first;
    return skip_byte(j, '}');
}

static bool skip_array(json *j)
{
    skip_space(j);
    if (skip_byte(j, ']'))
        return true;
    do
        if (!skip_value(j))
            return false;
    while (skip_byte(j, ','));
    return skip_byte(j, ']');
}

static bool skip_word(json *j, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(j->end - j->at) < size || memcmp(j->at, word, size) != 0)
        return false;
    j->at += size;
    return true;
}

/* A value, and the white space on both its sides. */
static bool skip_value(json *j)
{
    bool good;
    skip_space(j);
    if (j->at == j->end)
        return false;
    switch (*j->at) {
    case '{': j->at++, good = skip_object(j); break;
    case '[': j->at++, good = skip_array(j); break;
    case '"': good = skip_string(j); break;
    case 't': good = skip_word(j, "true"); break;
    case 'f': good = skip_word(j, "false"); break;
    case 'n': good = skip_word(j, "null"); break;
    default: good = skip_number(j); break;
    }
    skip_space(j);
    return good;
}

static bool nests_too_deep(const unsigned char *p, const unsigned char *end)
{
    long depth = 0;
    for (bool string = false; p < end; p++) {
        if (*p == '"')
            string = !string;
        else if (string && *p == '\\' && end - p > 1)
            p++;
        else if (!string && (*p == '[' || *p == '{') && ++depth > MAX_DEPTH)
            return true;
        else if (!string && (*p == ']' || *p == '}'))
            depth--;
    }
    return false;
}

/* QEMB-MET-02 and QEMB-MET-03. An object has a key in each 5 bytes at most. */
static uint64_t metadata_memory(const qemb_file *file)
{
    const qemb_section *s = &file->sections[QEMB_META];
    return qemb_has(file, QEMB_META) ? 4 * (s->raw_size / 4 + 1) + s->raw_size : 0;
}

static qemb_code check_metadata(qemb_reader *reader, unsigned char *memory)
{
    uint64_t size = reader->file->sections[QEMB_META].raw_size;
    unsigned char *text = memory + 4 * (size / 4 + 1);
    qemb_code code = copy(reader, QEMB_META, 0, size, text);
    if (code != QEMB_OK)
        return code;
    if (!is_utf8(text, size))
        return fail(&reader->error, QEMB_MALFORMED_METADATA, "META", 0);
    if (nests_too_deep(text, text + size))
        return fail(&reader->error, QEMB_INVALID_METADATA, "META", 0);
    json j = {.text = text, .at = text, .end = text + size, .keys = (void *)memory};
    if (!skip_value(&j) || j.at != j.end)
        return fail(&reader->error, QEMB_MALFORMED_METADATA, "META", (uint64_t)(j.at - text));
    j.at = text;
    skip_space(&j);
    if (*j.at != '{' || j.key_twice)
        return fail(&reader->error, QEMB_INVALID_METADATA, "META", 0);
    return QEMB_OK;
}

/* QEMB-TAB-10, QEMB-TAB-11, QEMB-FRM-03 to QEMB-FRM-05, in file order. */
static qemb_code check_frames(qemb_reader *reader, qemb_kind kind)
{
    const qemb_section *s = &reader->file->sections[kind];
    uint64_t count = frame_count(s), end = 0;
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *entry = frame_entry(reader->file, s, i);
        if (load64(entry) != end)
            return fail(&reader->error, QEMB_INVALID_FRAME_TABLE, s->kind, i * s->frame_size);
        end += load32(entry + 8);
    }
    if (end != s->stored_size - count * FRAME_ENTRY_SIZE)
        return fail(&reader->error, QEMB_INVALID_FRAME_TABLE, s->kind, 0);
    if (kind == QEMB_LEVL) {
        reader->levels = NULL;
        return load_levels(reader);
    }
    reader->frames[kind].number = NONE;
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *raw;
        qemb_code code = read_frame(reader, kind, i, reader->frames[kind].memory, &raw);
        if (code != QEMB_OK)
            return code;
    }
    return QEMB_OK;
}

static qemb_code check_sections(qemb_reader *reader)
{
    const qemb_file *file = reader->file;
    uint64_t end = HEADER_SIZE + (uint64_t)file->header.section_count * ENTRY_SIZE;
    for (uint32_t i = 0; i < file->header.section_count; i++) {
        qemb_section s = qemb_section_at(file, i);
        qemb_kind kind = kind_of(s.kind);
        if (!all_zero(file->data + end, s.offset - end))
            return fail(&reader->error, QEMB_INVALID_PADDING, "", end);
        if (!crc_is_right(file, &s))
            return fail(&reader->error, QEMB_MALFORMED_SECTION_CHECKSUM, s.kind, 0);
        if (kind < QEMB_KINDS && s.codec == 1) {
            qemb_code code = check_frames(reader, kind);
            if (code != QEMB_OK)
                return code;
        }
        end = s.offset + s.stored_size;
    }
    return QEMB_OK;
}

/* Whether all floats of a section are finite; `wrong` is the code where one is not. */
static qemb_code check_finite(qemb_reader *reader, qemb_kind kind, unsigned type, qemb_code wrong)
{
    const qemb_section *s = &reader->file->sections[kind];
    unsigned width = type == QEMB_TYPE_FLOAT16 ? 2 : 4;
    uint32_t infinity = type == QEMB_TYPE_FLOAT16 ? 0x7C00 : 0x7F800000;
    for (uint64_t i = 0; i < s->raw_size / width; i++) {
        uint64_t bits = 0;
        qemb_code code = element(reader, kind, i, width, &bits);
        if (code != QEMB_OK)
            return code;
        if ((bits & infinity) == infinity)
            return fail(&reader->error, wrong, s->kind, i * width);
    }
    return QEMB_OK;
}

/* QEMB-PCK-02. */
static qemb_code check_row_padding(qemb_reader *reader)
{
    const qemb_quantization *q = &reader->file->quantization;
    uint64_t bits = (uint64_t)q->codes * q->low_bits;
    unsigned char mask = (unsigned char)(0xFF << bits % 8); /* of the byte that the last code ends in */
    for (uint64_t row = 0; q->low_bits > 0 && row < reader->file->header.rows; row++) {
        uint64_t offset = row * q->row_stride + bits / 8, left = q->row_stride - bits / 8, available;
        for (unsigned char first = mask; left > 0; offset += available, left -= available, first = 0xFF) {
            const unsigned char *data;
            qemb_code code = span(reader, QEMB_CODE, offset, left, &data, &available);
            if (code != QEMB_OK)
                return code;
            if ((data[0] & first) != 0 || !all_zero(data + 1, available - 1))
                return fail(&reader->error, QEMB_INVALID_CODE_PADDING, "CODE", offset);
        }
    }
    return QEMB_OK;
}

/* QEMB-PCK-03. */
static qemb_code check_high_padding(qemb_reader *reader)
{
    const qemb_quantization *q = &reader->file->quantization;
    unsigned high = (unsigned)q->bits - q->low_bits;
    if (high % 8 == 0)
        return QEMB_OK;
    qemb_kind kind = (qemb_kind)(QEMB_HIG0 + high / 8);
    uint64_t size = reader->file->sections[kind].raw_size, available;
    for (uint64_t offset = 0; offset < size; offset += available) {
        const unsigned char *data;
        qemb_code code = span(reader, kind, offset, size - offset, &data, &available);
        if (code != QEMB_OK)
            return code;
        for (uint64_t i = 0; i < available; i++)
            if (data[i] >> high % 8 != 0)
                return fail(&reader->error, QEMB_INVALID_CODE_PADDING, KINDS[kind].name, offset + i);
    }
    return QEMB_OK;
}

/* QEMB-DEC-01, then QEMB-DEC-02. */
static qemb_code check_decimals(qemb_reader *reader)
{
    const qemb_file *file = reader->file;
    uint64_t rank = greatest_rank(&file->quantization), dim = file->header.dim, next = 0, unpacked = NONE;
    qemb_code code;
    for (uint64_t row = 0; row < file->header.rows; row++) {
        if ((code = unpack(reader, row)) != QEMB_OK)
            return code;
        for (uint32_t j = 0; j < dim; j++)
            if (reader->codes[j] > 2 * rank)
                return fail(&reader->error, QEMB_INVALID_CODE, file->quantization.low_bits != 0 ? "CODE" : "HIG0", 0);
    }
    for (uint64_t i = 0; i < file->sections[QEMB_EXCP].raw_size / EXCEPTION_SIZE; i++) {
        uint64_t position;
        if ((code = exception_position(reader, i, &position)) != QEMB_OK)
            return code;
        if (position < next || position / dim >= file->header.rows)
            return fail(&reader->error, QEMB_INVALID_EXCEPTIONS, "EXCP", i * EXCEPTION_SIZE);
        if (unpacked != position / dim && (code = unpack(reader, unpacked = position / dim)) != QEMB_OK)
            return code;
        if (reader->codes[position % dim] != rank)
            return fail(&reader->error, QEMB_INVALID_EXCEPTIONS, "EXCP", i * EXCEPTION_SIZE);
        next = position + 1;
    }
    return QEMB_OK;
}

/* QEMB-TOK-01 and QEMB-TOK-02, then QEMB-TOK-03 and QEMB-TOK-04, with an index in `memory`. */
static qemb_code check_tokens(qemb_reader *reader, void *memory, uint64_t size)
{
    const qemb_file *file = reader->file;
    uint64_t total = file->sections[QEMB_TOKB].raw_size, tokens = file->header.tokens, first = 0, last = 0, start;
    unsigned width = total >> 32 != 0 ? 8 : 4;
    uint32_t length;
    qemb_code code = element(reader, QEMB_TOKO, 0, width, &first);
    if (code == QEMB_OK)
        code = element(reader, QEMB_TOKO, tokens, width, &last);
    if (code != QEMB_OK)
        return code;
    if (first != 0 || last != total)
        return fail(&reader->error, QEMB_INVALID_TOKEN_OFFSETS, "TOKO", first != 0 ? 0 : tokens * width);
    for (uint64_t row = 0; row < tokens; row++)
        if ((code = token_bounds(reader, row, &start, &length)) != QEMB_OK)
            return code;

    uint64_t *index = reader->index, slots = reader->slots; /* the reader's own comes back at the end */
    code = empty_index(reader, memory, size);
    for (uint64_t row = 0; code == QEMB_OK && row < tokens; row++) {
        const unsigned char *token;
        if ((code = qemb_token(reader, row, &token, &length)) != QEMB_OK)
            break;
        if ((file->header.required_features & BYTE_TOKENS) == 0 && !is_utf8(token, length))
            code = fail(&reader->error, QEMB_INVALID_TOKEN_UTF8, "TOKO", row * width);
        else
            code = insert(reader, row, token, length);
    }
    reader->index = index;
    reader->slots = slots;
    return code;
}

/* QEMB-IDX-02, in one pass over the slots and one over the tokens. The search for a token, of which there is only one,
 * finds it where no slot is empty from the one where it begins to the token's own. */
static qemb_code check_index(qemb_reader *reader, void *memory)
{
    uint64_t slots = reader->file->sections[QEMB_INDX].raw_size / 4, tokens = reader->file->header.tokens, full = 0;
    uint32_t *slot_of = memory, *run_of = slot_of + tokens; /* of each token; the full slots right before its own */
    uint32_t run = 0;
    qemb_code code;
    for (uint64_t row = 0; row < tokens; row++)
        slot_of[row] = EMPTY;
    for (uint64_t slot = 0; slot < slots; slot++) {
        uint64_t row;
        if ((code = element(reader, QEMB_INDX, slot, 4, &row)) != QEMB_OK)
            return code;
        run = row == EMPTY ? 0 : run + 1; /* those at the end of the table go on at its beginning */
        if (row == EMPTY)
            continue;
        if (row >= tokens || slot_of[row] != EMPTY)
            return fail(&reader->error, QEMB_INVALID_INDEX, "INDX", 4 * slot);
        slot_of[row] = (uint32_t)slot;
        full++;
    }
    if (full != tokens)
        return fail(&reader->error, QEMB_INVALID_INDEX, "INDX", 0);
    for (uint64_t slot = 0; slot < slots; slot++) {
        uint64_t row;
        if ((code = element(reader, QEMB_INDX, slot, 4, &row)) != QEMB_OK)
            return code;
        if (row != EMPTY)
            run_of[row] = run;
        run = row == EMPTY ? 0 : run + 1;
    }
    for (uint64_t row = 0; row < tokens; row++) {
        const unsigned char *token;
        uint32_t length;
        if ((code = qemb_token(reader, row, &token, &length)) != QEMB_OK)
            return code;
        uint64_t begin = first_slot(crc32c(token, length), slots), own = slot_of[row];
        if ((own >= begin ? own - begin : own + slots - begin) > run_of[row])
            return fail(&reader->error, QEMB_INVALID_INDEX, "INDX", 4 * own);
    }
    return QEMB_OK;
}

/* QEMB-NRM-01. In double no square of a float32 is too large or too small, nor is the sum of 2^24 of them. */
static qemb_code check_norms(qemb_reader *reader)
{
    for (uint64_t row = 0; row < reader->file->header.rows; row++) {
        float stored;
        qemb_code code = decode_row(reader, row, reader->row);
        if (code == QEMB_OK)
            code = qemb_norm(reader, row, &stored);
        if (code != QEMB_OK)
            return code;
        double sum = 0;
        for (uint32_t j = 0; j < reader->file->header.dim; j++)
            sum += (double)reader->row[j] * reader->row[j];
        double norm = sqrt(sum), most = norm * 1e-6 > 0x1p-149 ? norm * 1e-6 : 0x1p-149;
        if (norm < 0x1p128 && !(fabs(stored - norm) <= most))
            return fail(&reader->error, QEMB_INVALID_NORM, "NORM", 4 * row);
    }
    return QEMB_OK;
}

uint64_t qemb_verify_size(const qemb_file *file)
{
    uint64_t index = qemb_index_size(file), metadata = metadata_memory(file) + 15;
    return index > metadata ? index : metadata;
}

qemb_code qemb_verify(qemb_reader *reader, void *memory, uint64_t size)
{
    const qemb_file *file = reader->file;
    const qemb_quantization *q = &file->quantization;
    if (memory == NULL || size < qemb_verify_size(file))
        return fail(&reader->error, QEMB_LIMIT_MEMORY, "", 0);
    unsigned char *aligned = (unsigned char *)memory + misaligned(memory);
    qemb_code code = check_sections(reader);
    if (code == QEMB_OK && qemb_has(file, QEMB_META))
        code = check_metadata(reader, aligned);
    if (code == QEMB_OK && q->level == QEMB_PRODUCT)
        code = check_finite(reader, QEMB_LEVL, QEMB_TYPE_FLOAT32, QEMB_INVALID_LEVEL);
    if (code == QEMB_OK)
        code = check_finite(reader, QEMB_SCAL, q->scale_type, QEMB_INVALID_SCALE);
    if (code == QEMB_OK)
        code = check_finite(reader, QEMB_OFFS, q->offset_type, QEMB_INVALID_OFFSET);
    if (code == QEMB_OK)
        code = check_row_padding(reader);
    if (code == QEMB_OK)
        code = check_high_padding(reader);
    if (code == QEMB_OK && q->level == QEMB_DECIMAL)
        code = check_decimals(reader);
    if (code == QEMB_OK)
        code = check_tokens(reader, memory, size);
    if (code == QEMB_OK && qemb_has(file, QEMB_INDX))
        code = check_index(reader, aligned);
    if (code == QEMB_OK && qemb_has(file, QEMB_NORM))
        code = check_norms(reader);
    return code;
}
