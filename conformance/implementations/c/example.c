/* SPDX-License-Identifier: CC0-1.0
 *
 * example FILE WORD: print the vector of a word and the ten words nearest to it by cosine. */
#include "qemb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEAREST = 10, SHOWN = 8 };
enum { ALLOWED = 1 << 25, EXPANSION = 160 }; /* bytes that any file may decode to, and each byte of one */

static int fail(const char *what)
{
    fprintf(stderr, "example: %s\n", what);
    return EXIT_FAILURE;
}

static int fail_with(const qemb_error *error)
{
    fprintf(stderr, "example: %s (section %s, byte %llu)\n", qemb_code_name(error->code),
            error->section[0] != 0 ? error->section : "none", (unsigned long long)error->offset);
    return EXIT_FAILURE;
}

static double dot(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t j = 0; j < dim; j++)
        sum += (double)a[j] * b[j];
    return sum;
}

/* `vectors` has room for two. */
static int show(qemb_reader *reader, const char *word, float *vectors)
{
    uint32_t dim = reader->file->header.dim;
    float *vector = vectors, *other = vectors + dim;
    uint64_t row;
    if (qemb_find(reader, word, strlen(word), &row) != QEMB_OK)
        return fail_with(&reader->error);
    if (row == QEMB_ABSENT)
        return fail("the word is not in the file");
    if (qemb_rows(reader, row, 1, vector) != QEMB_OK)
        return fail_with(&reader->error);
    printf("%s, row %llu, %lu dimensions:", word, (unsigned long long)row, (unsigned long)dim);
    for (uint32_t j = 0; j < dim && j < SHOWN; j++)
        printf(" %.6g", (double)vector[j]);
    printf(dim > SHOWN ? " ...\n" : "\n");

    double cosines[NEAREST];
    uint64_t rows[NEAREST];
    size_t count = 0;
    for (uint64_t i = 0; i < reader->file->header.tokens; i++) {
        if (i == row)
            continue;
        if (qemb_rows(reader, i, 1, other) != QEMB_OK)
            return fail_with(&reader->error);
        double cosine = dot(vector, other, dim) / sqrt(dot(vector, vector, dim) * dot(other, other, dim));
        if (count == NEAREST && !(cosine > cosines[NEAREST - 1]))
            continue;
        size_t place = count < NEAREST ? count++ : NEAREST - 1;
        for (; place > 0 && cosine > cosines[place - 1]; place--) {
            cosines[place] = cosines[place - 1];
            rows[place] = rows[place - 1];
        }
        cosines[place] = cosine;
        rows[place] = i;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned char *token;
        uint32_t length;
        if (qemb_token(reader, rows[i], &token, &length) != QEMB_OK)
            return fail_with(&reader->error);
        printf("%.4f  %.*s\n", cosines[i], (int)length, (const char *)token);
    }
    return EXIT_SUCCESS;
}

static int show_from(const void *data, uint64_t size, const char *word)
{
    qemb_file file;
    if (qemb_open(&file, data, size) != QEMB_OK)
        return fail_with(&file.error);
    if (qemb_decoded_size(&file) > ALLOWED && qemb_decoded_size(&file) / EXPANSION > size)
        return fail("the file decodes to far more than it has bytes");
    uint64_t scratch_size = qemb_reader_size(&file);
    void *scratch = malloc((size_t)scratch_size);
    float *vectors = malloc(2 * sizeof *vectors * file.header.dim);
    qemb_reader reader;
    int result = EXIT_FAILURE;
    if (vectors == NULL || qemb_reader_init(&reader, &file, scratch, scratch_size) != QEMB_OK)
        fail("out of memory");
    else
        result = show(&reader, word, vectors);
    free(scratch);
    free(vectors);
    return result;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fail("usage: example FILE WORD");
    FILE *stream = fopen(argv[1], "rb");
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0)
        return fail("cannot open the file");
    long size = ftell(stream);
    rewind(stream);
    void *data =
        size > 0 ? malloc((size_t)size) : NULL; /* or map the file: the reader asks for nothing but its bytes */
    bool whole = data != NULL && fread(data, 1, (size_t)size, stream) == (size_t)size;
    fclose(stream);
    int result = whole ? show_from(data, (uint64_t)size, argv[2]) : fail("cannot read the file");
    free(data);
    return result;
}
