# A thin front door to Meson. `make help` says what there is.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PROGRAMS = tee-gateway tee-verify tee-eif enclave-init enclave-tap
MANUALS = man/tee-eif.1
PREFIX ?= /usr
ARGS ?=
FUZZ_SECONDS ?= 60

.PHONY: help setup build run demo-paid test check bench fuzz eif reproduce reproduce-fast lock install clean

help:
	@echo 'make run      install what is missing, build, serve on 127.0.0.1 (ARGS="--log-level debug")'
	@echo 'make demo-paid a paid conversation on loopback, every message printed'
	@echo 'make test     install what is missing, run the whole suite'
	@echo 'make check    the fast inner loop: format, layers, headers, shell, unit tests (ASan + UBSan)'
	@echo 'make build    the programs, as build/tee-gateway, build/tee-verify, ...'
	@echo 'make setup    install what is missing for run and test'
	@echo 'make bench    measure against nginx and Portkey in one run, print one table'
	@echo 'make fuzz     run every fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make eif      build the enclave image and compare it with measurements.json, which UPDATE=1 writes anew'
	@echo '              (KERNEL=bzImage DEBS_DIR=DIR SNAPSHOT_URL=URL; scripts/eif says what they are)'
	@echo 'make reproduce       build it once more, as differently as can be, and compare every byte'
	@echo 'make reproduce-fast  the same with the first kernel'
	@echo 'make lock     take what Debian has today into packaging/enclave.lock'
	@echo 'make install  put programs and manual pages under DESTDIR PREFIX ($(PREFIX))'
	@echo 'make clean    remove what was built'

setup:
	@scripts/setup build test

build:
	@scripts/setup build
	@scripts/configure build
	@ninja -C build --quiet $(PROGRAMS:%=src/cmd/%)
	@for p in $(PROGRAMS); do ln -sf src/cmd/$$p build/$$p; done

run: build
	@scripts/run $(ARGS)

demo-paid: setup build
	@scripts/demo-paid $(ARGS)

test: setup build
	@scripts/test

check: setup
	@scripts/test --fast

bench:
	@scripts/setup build test bench
	@scripts/configure build -Dtests=true
	@ninja -C build --quiet src/cmd/tee-gateway src/cmd/tee-verify bench/load bench/pace bench/upstream
	@bench/run $(ARGS)

fuzz:
	@scripts/setup build fuzz test
	@scripts/fuzz $(FUZZ_SECONDS)

eif:
	@scripts/eif $(if $(UPDATE),--update)

reproduce: eif
	@scripts/reproduce

reproduce-fast: eif
	@scripts/reproduce --fast

lock:
	@scripts/lock

install: build
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(PROGRAMS:%=build/%)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(MANUALS)

clean:
	rm -rf build build-eif build-asan build-tsan build-fuzz build-logs
