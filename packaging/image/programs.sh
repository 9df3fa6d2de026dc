#!/bin/sh
# Inside the build root: our programs, the CA bundle, the two ramdisks, the image. /work holds tree (our
# sources), curl, bzImage. Leaves in /work/out what `make eif` hands over.
set -eu
out=/work/out
mkdir "$out" /work/programs
cd /work

# --- programs ---

export PKG_CONFIG_PATH=/work/curl/lib/pkgconfig
meson setup --fatal-meson-warnings build tree -Dtests=false -Ddebug=false -Doptimization=2 \
	-Dc_link_args=-Wl,--build-id=none >meson.log 2>&1 || { cat meson.log >&2; exit 1; }
programs='enclave-init enclave-tap tee-gateway'
for p in $programs tee-eif; do set -- "$@" "src/cmd/$p"; done
ninja -C build --quiet -j "$JOBS" "$@"
for p in $programs; do strip -o "programs/$p" "build/src/cmd/$p"; done

# --- the roots that providers' certificates must lead to: Debian's, in the order of their names ---

cat /usr/share/ca-certificates/mozilla/*.crt >programs/ca-certificates.crt

# --- libraries: exactly those that something needs ---

entries() { sed 's/#.*//' "tree/packaging/$1.manifest" | awk 'NF'; }
for manifest in init image; do entries $manifest; done >all
awk '$1 == "file" { print $4 }' all | while read -r f; do
	[ "$(head -c 4 "$f" | od -An -c | tr -d ' ')" != 177ELF ] || readelf -dlW "$f"
done | sed -n -e 's/.*(NEEDED).*\[\(.*\)\]/\1/p' -e 's/.*interpreter: .*\/\(.*\)\]/\1/p' | sort -u >needed
awk '$1 == "file" && $2 ~ /^lib/ { sub(/.*\//, "", $2); print $2 }' all | sort >listed
diff needed listed >&2 || {
	echo "image.manifest: < is needed and not listed, > is listed and needed by nothing" >&2
	exit 1
}

# --- ramdisks and image ---

for manifest in init image; do
	build/src/cmd/tee-eif ramdisk --manifest "tree/packaging/$manifest.manifest" -o "$out/$manifest.cpio"
done
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" tree/meson.build)
build/src/cmd/tee-eif build --kernel bzImage --cmdline "$(sed -n 's/^cmdline //p' tree/packaging/boot.plan)" \
	--init-ramdisk "$out/init.cpio" --ramdisk "$out/image.cpio" --name tee-gateway --version "$version" \
	-o "$out/tee-gateway.eif" >"$out/measurements.json"

# --- what is in it, for people and for comparing: a name, then its value ---

sum() { sha256sum <"$1" | cut -c1-64 | tr '\n' ' '; stat -L -c %s "$1"; }
{
	printf 'build_id '; tree/scripts/build-id
	printf 'kernel '; sum bzImage
	sed -n 's/^cmdline/command-line/p' tree/packaging/boot.plan
	for manifest in init image; do
		printf '%s.cpio ' $manifest; sum "$out/$manifest.cpio"
		entries $manifest | sort -k2,2 | while read -r type path mode source; do
			case $type in
			file) printf '%s:/%s file %s ' $manifest "$path" "$mode"; sum "$source" ;;
			*) echo "$manifest:/$path $type $mode $source" ;;
			esac
		done
	done
	printf 'tee-gateway.eif '; sum "$out/tee-gateway.eif"
} | sed 's/ *$//' >"$out/contents"
cp bzImage build/src/cmd/tee-eif "$out/"
