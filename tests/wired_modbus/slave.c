/* A Modbus slave on libmodbus: slave tcp PORT | slave rtu DEVICE BAUD. Unit 7; register r holds 100 + r, coil c is off.
 * Prints "ready" when it listens. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int tcp = argc > 2 && !strcmp(argv[1], "tcp"), listener = -1;
    modbus_t *line = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2]))
                         : modbus_new_rtu(argv[2], atoi(argv[3]), 'N', 8, 1);
    modbus_mapping_t *map = modbus_mapping_new(16, 16, 64, 64);
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    if (!line || !map)
        return 1;
    for (int i = 0; i < 64; i++)
        map->tab_registers[i] = map->tab_input_registers[i] = 100 + i;
    modbus_set_slave(line, 7);
    if (tcp)
        listener = modbus_tcp_listen(line, 2);
    else if (modbus_connect(line))
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (tcp && modbus_tcp_accept(line, &listener) < 0)
            return 1;
        for (;;) {
            int size = modbus_receive(line, request);
            if (size > 0)
                modbus_reply(line, request, size, map);
            else if (size < 0 && (tcp || errno == EBADF || errno == EIO))
                break;
        }
        if (!tcp)
            return 0;
        modbus_close(line);
    }
}
