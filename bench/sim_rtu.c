/* Framing of Modbus RTU requests. */
#include "modbus_sim.h"

uint16_t crc16(const uint8_t *bytes, int size)
{
    uint16_t crc = 0xffff;
    while (size--) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (uint16_t)(crc >> 1 ^ 0xa001) : (uint16_t)(crc >> 1);
    }
    return crc;
}

/* Size of a request with this function code (Modbus Application Protocol V1.1b3, section 6), 0 when not known. */
int rtu_request_size(const uint8_t *in, int held)
{
    switch (in[1]) {
    case 1 ... 6:
    case 8:
        return 8;
    case 7:
    case 11:
    case 12:
    case 17:
        return 4;
    case 15:
    case 16:
        return held > 6 ? 9 + in[6] : MAX_FRAME;
    case 43:
        return 7;
    default:
        return 0;
    }
}
