// A C guest that uses what wasi-libc makes of WASI: a request holds a command and
// its argument, separated by a space; the reply is its answer.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT(name) __attribute__((export_name(name)))

static char request[4096], reply[1 << 16];

EXPORT("bungee_abi") uint32_t abi(void) { return 1; }

EXPORT("bungee_buf") void *buf(uint32_t n) { return n < sizeof request ? request : 0; }

static void answer(const char *s) { strncat(reply + 1, s, sizeof reply - 2 - strlen(reply + 1)); }

static void answer_error(void) {
	answer("error: ");
	answer(strerror(errno));
}

static void do_read(const char *path) {
	FILE *f = fopen(path, "r");
	if (!f) return answer_error();
	char line[256];
	while (fgets(line, sizeof line, f)) answer(line);
	fclose(f);
}

static void do_write(const char *path) {
	FILE *f = fopen(path, "w+");
	if (!f) return answer_error();
	fprintf(f, "one\ntwo\n%d\n", 3);
	fseek(f, 4, SEEK_SET);
	char word[8] = {0};
	if (fscanf(f, "%7s", word) == 1) answer(word);
	if (ftruncate(fileno(f), 4) != 0) answer_error();
	fclose(f);
}

static void do_list(const char *path) {
	DIR *d = opendir(path);
	if (!d) return answer_error();
	for (struct dirent *e; (e = readdir(d));) {
		answer(e->d_name);
		answer(e->d_type == DT_DIR ? "/," : ",");
	}
	rewinddir(d);
	if (!readdir(d)) answer("empty after rewind");
	closedir(d);
}

static void do_stat(const char *path) {
	struct stat st;
	if (stat(path, &st) != 0) return answer_error();
	char s[64];
	snprintf(s, sizeof s, "%lld %d", (long long)st.st_size, S_ISDIR(st.st_mode) != 0);
	answer(s);
}

static void do_clock(const char *ms) {
	struct timespec a, b, pause = {atoi(ms) / 1000, atoi(ms) % 1000 * 1000000};
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (nanosleep(&pause, 0) != 0) return answer_error();
	clock_gettime(CLOCK_MONOTONIC, &b);
	long long slept = (b.tv_sec - a.tv_sec) * 1000LL + (b.tv_nsec - a.tv_nsec) / 1000000;
	time_t t = time(0);
	struct tm *tm = gmtime(&t);
	char s[64];
	snprintf(s, sizeof s, "%d %d", slept >= atoi(ms), tm->tm_year + 1900);
	answer(s);
}

static void do_random(const char *unused) {
	unsigned char b[8];
	if (getentropy(b, sizeof b) != 0) return answer_error();
	char s[3];
	for (int i = 0; i < 8; i++) {
		snprintf(s, sizeof s, "%02x", b[i]);
		answer(s);
	}
}

static void do_poll(const char *unused) {
	struct pollfd fds[2] = {{0, POLLIN, 0}, {1, POLLOUT, 0}};
	char s[64];
	int n = poll(fds, 2, 1000);
	snprintf(s, sizeof s, "%d %d %d", n, fds[0].revents & (POLLIN | POLLHUP), (fds[1].revents & POLLOUT) != 0);
	answer(s);
}

static void do_print(const char *text) {
	printf("out %s\n", text);
	fprintf(stderr, "err %s\n", text);
}

static void do_remove(const char *path) {
	if (remove(path) != 0) answer_error();
}

static void do_env(const char *name) { answer(getenv(name) ? getenv(name) : "unset"); }
static void do_exit(const char *code) { exit(atoi(code)); }

static const struct {
	const char *name;
	void (*run)(const char *argument);
} commands[] = {
	{"read", do_read}, {"write", do_write}, {"list", do_list}, {"stat", do_stat}, {"clock", do_clock},
	{"random", do_random}, {"poll", do_poll}, {"print", do_print}, {"remove", do_remove}, {"env", do_env}, {"exit", do_exit},
};

EXPORT("bungee_call") uint64_t call(uint32_t fn, uint32_t ptr, uint32_t n, int64_t deadline) {
	memset(reply, 0, sizeof reply);
	request[n] = 0;
	char *argument = strchr(request, ' ');
	if (argument) *argument++ = 0;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(request, commands[i].name) == 0) commands[i].run(argument ? argument : "");
	return (uint64_t)(uintptr_t)reply << 32 | (1 + strlen(reply + 1));
}
