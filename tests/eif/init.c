/*
 * init.c - the first process of a test machine: prints the tree that the kernel unpacked, one line
 * an entry, then `tree-end`, and resets the machine. Linked statically. Not part of any program.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_OPEN = 16 };

/* FNV-1a: enough to see that the bytes are those that were packed. */
static uint32_t
hash_file(const char *path)
{
	uint8_t chunk[4096];
	uint32_t h = 2166136261;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ chunk[i]) * 16777619;
	close(fd);
	return h;
}

static int
show(const char *path, const struct stat *st, int type, struct FTW *where)
{
	char target[256] = "";

	if (S_ISLNK(st->st_mode) && readlink(path, target, sizeof(target) - 1) < 0)
		return 1;
	printf("tree|%s|%o|%u:%u|%lld|%u:%u|%08x|%s\n", path, (unsigned)st->st_mode,
	    (unsigned)st->st_uid, (unsigned)st->st_gid,
	    S_ISREG(st->st_mode) ? (long long)st->st_size : 0, major(st->st_rdev),
	    minor(st->st_rdev), S_ISREG(st->st_mode) ? (unsigned)hash_file(path) : 0, target);
	return 0;
}

int
main(void)
{
	if (nftw("/", show, MAX_OPEN, FTW_PHYS | FTW_MOUNT) == 0)
		printf("tree-end\n");
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
