/*
 * replay.c - runs every file of the folders named on the command line through a fuzz target, so
 * that the seeds are a regression test in builds without libFuzzer. Fails when there are none.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(const char *path)
{
	struct stat st;
	uint8_t *data;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL || fstat(fileno(f), &st) != 0) {
		perror(path);
		exit(1);
	}
	/* An exact allocation: a read past the end is then the sanitizer's business. */
	if ((data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1)) == NULL ||
	    fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
}

int
main(int argc, char **argv)
{
	unsigned files = 0;

	for (int i = 1; i < argc; i++) {
		struct dirent *entry;
		DIR *dir = opendir(argv[i]);

		if (dir == NULL) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir)) != NULL) {
			char path[4096];

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			run(path);
			files++;
		}
		closedir(dir);
	}
	printf("%u seeds\n", files);
	return files == 0;
}
