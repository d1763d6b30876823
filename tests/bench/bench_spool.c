/*
 * bench_spool [FOLDER [MIB]] -- what the spool costs: appending and reading MIB (1024) of events of 2 KiB, beside plain
 * writes of the same bytes and fsyncs, and opening a spool of 10 GiB. FOLDER (.) says which disk; what is made there is
 * removed. A line of JSON a measurement: {"bench":"spool","what":...,"bytes":...,"seconds":...,"cpu_s":...,
 * "mb_per_s":...}.
 *
 * The large spool is sparse files of the right names and lengths around a real newest segment: opening reads no other.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/crc32c.h"
#include "router/base/io.h"
#include "router/base/units.h"
#include "router/lane/spool.h"
#include "router/lane/spool_segment.h"

enum { EVENT_BYTES = 2048, GROUP_BYTES = 4 << 20, MIB_DEFAULT = 1024, LARGE_SEGMENT = 16 << 20 };
static const uint64_t LARGE_BYTES = 10ull << 30;

static char event[EVENT_BYTES];

static double clock_of(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_start;

/* The start of a measurement. */
static double now(void)
{
	cpu_start = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	return clock_of(CLOCK_MONOTONIC);
}

static void must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "bench_spool: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static void say(const char *what, uint64_t bytes, double start)
{
	double seconds = clock_of(CLOCK_MONOTONIC) - start, cpu_s = clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
	printf("{\"bench\":\"spool\",\"what\":\"%s\",\"bytes\":%llu,\"seconds\":%.6f,\"cpu_s\":%.6f,\"mb_per_s\":%.0f}\n",
		what, (unsigned long long)bytes, seconds, cpu_s, seconds > 0 ? (double)bytes / seconds / 1e6 : 0);
}

static void remove_folder(const char *folder)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, NULL);
	for (int i = 0; i < n; i++) {
		char *path = io_join(folder, names[i]->d_name);
		(void)unlink(path);
		free(path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	(void)rmdir(folder);
}

static struct spool *open_spool(const char *folder)
{
	struct spool *s;
	struct err err = { 0 };
	struct spool_options options = { .folder = folder, .bytes_max = 1ull << 40 };
	must(spool_open(&s, &options, &err), err.text);
	return s;
}

static void plain(const char *folder, uint64_t bytes, bool sync)
{
	char *path = io_join(folder, "plain");
	double start = now();
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd < 0 ? -1 : 0, path);
	for (uint64_t done = 0; done < bytes; done += sizeof event) {
		must(io_write(fd, event, sizeof event), path);
		if (sync && done % GROUP_BYTES == 0)
			must(fdatasync(fd), path);
	}
	must(sync ? fdatasync(fd) : 0, path);
	say(sync ? "plain writes, fdatasync each 4 MiB" : "plain writes", bytes, start);
	(void)close(fd);
	(void)unlink(path);
	free(path);
}

static void append_all(const char *folder, uint64_t bytes, bool sync)
{
	struct spool *s = open_spool(folder);
	uint64_t position, n = 0;
	double start = now();
	for (uint64_t done = 0; done < bytes; done += sizeof event) {
		struct spool_record r = {
			.seq = n++,
			.rule = VIEW("admin-read-metadata"),
			.input = VIEW("apiserver"),
			.cluster = VIEW("prod-eu1"),
			.event = { event, sizeof event },
		};
		must(spool_append(s, &r, &position), "append");
		if (sync && done % GROUP_BYTES == 0)
			must(spool_sync(s), "sync");
	}
	must(sync ? spool_sync(s) : 0, "sync");
	say(sync ? "append, spool_sync each 4 MiB" : "append (an fsync a segment)", bytes, start);
	spool_close(s);
}

static void read_all(const char *folder, uint64_t bytes)
{
	struct spool *s = open_spool(folder);
	struct spool_record r;
	uint64_t position, n = 0;
	double start = now();
	while (spool_next(s, &r, &position) == 0) {
		if (++n % 256 == 0)
			spool_forget(s, position);
	}
	say("read and forget", bytes, start);
	must(n * sizeof event == bytes ? 0 : -1, "not all came out");
	spool_close(s);
}

/* The real newest segment is put behind many that are nothing but their length. */
static void open_large(const char *folder)
{
	char name[SEGMENT_NAME_ROOM];
	uint64_t first = 0;
	remove_folder(folder);
	struct spool_files files;
	struct err err = { 0 };
	must(spool_files_enter(&files, folder, &err), err.text);
	while (first < LARGE_BYTES) {
		segment_name(first, name);
		int file = files.open(files.disk, name, true);
		must(file < 0 ? file : 0, name);
		must(segment_write_header(&files, file, first, first / EVENT_BYTES), name);
		must(files.cut(files.disk, file, sizeof(struct segment_header) + LARGE_SEGMENT), name);
		files.close(files.disk, file);
		first += LARGE_SEGMENT;
	}
	segment_name(first, name);
	int file = files.open(files.disk, name, true);
	must(file < 0 ? file : 0, name);
	must(segment_write_header(&files, file, first, first / EVENT_BYTES), name);
	files.close(files.disk, file);
	files.leave(files.disk);

	append_all(folder, LARGE_SEGMENT - LARGE_SEGMENT / 8, true);
	double start = now();
	struct spool *s = open_spool(folder);
	say("open a spool of 10 GiB", spool_state(s).bytes, start);
	spool_close(s);
}

static void checksum(void)
{
	enum { BYTES = 1 << 20, ROUNDS = 500 };
	char *bytes = mem_zero(1, BYTES);
	uint32_t crc = 0;
	double start = now();
	for (int i = 0; i < ROUNDS; i++)
		crc = crc32c_add(crc, bytes, BYTES);
	say("crc32c", (uint64_t)BYTES * ROUNDS, start);
	start = now();
	for (int i = 0; i < ROUNDS; i++)
		crc = crc32c_add_by_table(crc, bytes, BYTES);
	say(crc ? "crc32c by table" : "crc32c by table ", (uint64_t)BYTES * ROUNDS, start);
	free(bytes);
}

int main(int argc, char **argv)
{
	int64_t mib = MIB_DEFAULT;
	if (argc > 3 || (argc > 2 && (!units_parse_number(view_of(argv[2]), &mib) || mib < 1))) {
		fprintf(stderr, "usage: bench_spool [FOLDER [MIB]]\n");
		return 2;
	}
	char *folder = mem_textf("%s/bench-spool-XXXXXX", argc > 1 ? argv[1] : ".");
	must(mkdtemp(folder) ? 0 : -1, folder);
	uint64_t bytes = (uint64_t)mib << 20;
	for (size_t i = 0; i < sizeof event; i++)
		event[i] = (char)('a' + i % 26);
	checksum();
	plain(folder, bytes, false);
	append_all(folder, bytes, false);
	remove_folder(folder);
	must(io_make_folders(folder, 0700), folder);
	plain(folder, bytes, true);
	append_all(folder, bytes, true);
	read_all(folder, bytes);
	open_large(folder);
	remove_folder(folder);
	free(folder);
	return 0;
}
