#pragma once
/*
 * crc32c -- the CRC of RFC 3720 (Castagnoli polynomial), by the processor's instruction where it has one.
 *
 * Finds bytes that a disk lost or changed; it is no protection against someone who means to deceive.
 * Threads: pure.
 */
#include <stddef.h>
#include <stdint.h>

/* Of the bytes after those whose CRC is `crc`; 0 to start. crc32c_add(crc32c_add(0, a), b) is that of a and b joined. */
uint32_t crc32c_add(uint32_t crc, const void *bytes, size_t len);
/* The same by tables, whatever the processor has. */
uint32_t crc32c_add_by_table(uint32_t crc, const void *bytes, size_t len);
