#!/bin/sh
# Inside the build root: bzImage of Debian's kernel source, as kernel.config says. Source: eif.md 9.
set -eu
cd /work
# Files of other machines, and what is only read: none of it is compiled, and unpacking is what takes long.
tar -xJf /usr/src/linux-source-6.12.tar.xz --no-same-owner \
	--exclude='linux-source-6.12/arch/[!x]*/*.[chS]' --exclude='linux-source-6.12/drivers/gpu/*.[ch]' \
	--exclude='linux-source-6.12/sound/*.[ch]' --exclude='linux-source-6.12/Documentation/*.rst'
cd linux-source-6.12
cp ../kernel.config .config
make() {
	command make -s "-j$JOBS" CC=gcc LD=ld KCFLAGS=-ffile-prefix-map=/work/= KAFLAGS=-ffile-prefix-map=/work/= \
		LOCALVERSION= KBUILD_BUILD_TIMESTAMP="$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH")" \
		KBUILD_BUILD_USER=tee KBUILD_BUILD_HOST=enclave KBUILD_BUILD_VERSION=1 "$@"
}
make olddefconfig
diff ../kernel.config .config || {
	echo "kernel.config is not resolved for this source and tool chain: the lines with > are what it becomes" >&2
	exit 1
}
make bzImage
mkdir /work/out
cp arch/x86/boot/bzImage /work/out/
cd /work
rm -rf linux-source-6.12
