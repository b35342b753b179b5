/* Runs the arithmetic of the anomaly detectors, compiled for whatever processor, over a stream from standard input,
   and prints a hash of the scores and one of the state that remains. Input: doubles in the order of the machine, which
   has to be little-endian: the settings, then time, value, usable, expected of each row. */

#include <stdio.h>
#include <string.h>

#include "anomaly_core.h"

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *byte = data;
    while (size--) hash = (hash ^ *byte++) * 1099511628211u;
    return hash;
}

int main(void) {
    static anomaly_config config;
    static anomaly_state state;
    double row[4], score;
    uint64_t hash = 14695981039346656037u;
    if (fread(&config, sizeof config, 1, stdin) != 1) return 1;
    anomaly_begin(&state);
    while (fread(row, sizeof row, 1, stdin) == 1) {
        score = anomaly_update(&config, &state, row[0], row[1], row[2] != 0.0, row[3] != 0.0);
        if (score != score) score = -1.0; /* the sign and payload of NaN are no part of the promise */
        hash = mix(hash, &score, sizeof score);
    }
    printf("%016llx %016llx\n", (unsigned long long)hash,
           (unsigned long long)mix(14695981039346656037u, &state, sizeof state));
    return 0;
}
