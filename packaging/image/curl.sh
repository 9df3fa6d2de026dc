#!/bin/sh
# Inside the build root: libcurl.a of Debian's source and Debian's patches, with https and HTTP/2 only.
set -eu
cd /work
tar -xzf /usr/src/curl_*.orig.tar.gz --no-same-owner
cd curl-*
tar -xJf /usr/src/curl_*.debian.tar.xz --no-same-owner
# The last two patches are for Debian's builds with other TLS libraries.
sed -e '/^# Do not add patches below/,$d' -e 's/#.*//' debian/patches/series | while read -r p; do
	[ -z "$p" ] || patch -s -p1 <"debian/patches/$p"
done
{
	./configure --prefix=/work/curl --disable-shared --enable-static --disable-dependency-tracking \
		--with-openssl --with-nghttp2 --enable-threaded-resolver --without-ca-bundle --without-ca-path \
		--without-zlib --without-brotli --without-zstd --without-libidn2 --without-libpsl --without-librtmp \
		--without-libssh2 --without-gssapi --without-libgsasl --without-ngtcp2 --without-nghttp3 \
		--without-quiche --disable-alt-svc --disable-hsts --disable-dict --disable-file --disable-ftp \
		--disable-gopher --disable-imap --disable-ldap --disable-ldaps --disable-mqtt --disable-pop3 \
		--disable-rtsp --disable-smb --disable-smtp --disable-telnet --disable-tftp --disable-websockets \
		--disable-manual --disable-cookies --disable-doh --disable-mime --disable-ntlm --disable-tls-srp \
		--disable-unix-sockets --disable-libcurl-option \
		CPPFLAGS=-D_FORTIFY_SOURCE=2 CFLAGS="-O2 -fPIE -ffile-prefix-map=/work/= -fno-strict-aliasing \
		-fstack-protector-strong -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero"
	make -j"$JOBS" -C lib
	make -C lib install
	make -C include install
	make install-pkgconfigDATA
} >/work/log 2>&1 || { tail -n 50 /work/log >&2; exit 1; }
mkdir /work/out
cp -R /work/curl /work/out/
