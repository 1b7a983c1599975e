# SPDX-License-Identifier: Apache-2.0
# One non-recursive Makefile.  build/<flavour>/ mirrors the tree; `make help` lists the targets.
# Adding a .c file to a folder adds it to that folder's library; a main_NAME.c is a program's entry point.

FLAVOUR ?= release
B       ?= build/$(FLAVOUR)
V       ?=
SAN     ?=
PREFIX  ?= /usr/local
DESTDIR ?=
Q       := $(if $(V),,@)
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
export ASAN_OPTIONS ?= detect_leaks=1:abort_on_error=1:strict_string_checks=1
export UBSAN_OPTIONS ?= print_stacktrace=1:halt_on_error=1

MODULES := base boot manifest delta deltamake update link sandbox oci agent orchestrator sim

# ---- compiler -------------------------------------------------------------------------------------------------
PKG_CONFIG := PKG_CONFIG_PATH=$(CURDIR)/build/deps/lib/pkgconfig:$$PKG_CONFIG_PATH pkg-config
is_clang := $(findstring clang,$(CC))
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wundef -Wstrict-prototypes \
  -Wold-style-definition -Wmissing-prototypes -Wmissing-declarations -Wredundant-decls -Wnested-externs \
  -Wpointer-arith -Wcast-qual -Wcast-align -Wwrite-strings -Wswitch-enum -Wimplicit-fallthrough -Wvla -Walloca \
  -Wnull-dereference -Wframe-larger-than=65536 -Wno-missing-field-initializers
WARN_GCC := -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init -Wformat-signedness \
  -Wformat-truncation=2 -Warith-conversion -Wtrampolines -Wuse-after-free=3 -Wbidi-chars=any
WARN_CLANG := -Wcomma -Wshorten-64-to-32 -Wmissing-variable-declarations -Wno-gnu-zero-variadic-macro-arguments
WERROR ?= -Werror
OPT ?= -O2
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fno-strict-aliasing -fno-common -fvisibility=hidden \
  $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3) $(if $(is_clang),,-ftrivial-auto-var-init=zero) \
  $(if $(filter aarch64,$(shell uname -m)),-mbranch-protection=standard)
CPPFLAGS += -I. -D_GNU_SOURCE
# $(deps_cflags) is asked for after the deps stamp exists, hence the late expansion.
deps_cflags = $(shell $(PKG_CONFIG) --cflags libcrypto libsodium libarchive liblzma libzstd libseccomp libsystemd sqlite3 libpq yaml-0.1 jansson 2>/dev/null | sed 's,-I,-isystem ,g')
CFLAGS ?= -g
CFLAGS += -std=gnu17 $(OPT) $(WARN) $(if $(is_clang),$(WARN_CLANG),$(WARN_GCC)) $(WERROR) $(HARDEN) \
  $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all -DBERTH_SANITIZED=1 -Wframe-larger-than=262144 $(if $(is_clang),,-Wno-format-truncation))
LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed,--fatal-warnings,--gc-sections \
  $(if $(SAN),-fsanitize=$(SAN)) -Wl,-rpath,'$$ORIGIN/../lib/berth'

pkg_libs = $(shell $(PKG_CONFIG) --libs $(1))
L_crypto  = $(call pkg_libs,libcrypto libsodium)
L_archive = $(call pkg_libs,libarchive libzstd)
L_zstd    = $(call pkg_libs,libzstd)
L_delta   = $(call pkg_libs,liblzma libzstd)
L_make    = -ldivsufsort
L_fec     = -lisal
L_tls     = $(call pkg_libs,gnutls)
L_seccomp = $(call pkg_libs,libseccomp)
L_cap     = -lcap
L_http    = $(call pkg_libs,libmicrohttpd)
L_systemd = $(call pkg_libs,libsystemd)
L_ground  = $(call pkg_libs,sqlite3 yaml-0.1 jansson) -lm
L_all     = $(L_crypto) $(L_fec) $(L_tls) $(L_archive) $(L_delta) $(L_make) $(L_seccomp) $(L_cap) $(L_systemd) $(L_http) $(L_ground)

# ---- what there is --------------------------------------------------------------------------------------------
lib_src  = $(filter-out $(1)/main_%.c,$(wildcard $(1)/*.c))
objs     = $(patsubst %.c,$(B)/%.o,$(1))
libs     = $(foreach m,$(1),$(B)/lib$(m).a)
SOURCES := $(foreach m,$(MODULES),$(wildcard $(m)/*.c $(m)/*.h)) $(wildcard tests/*/*.c tests/*/*.h tests/probe/*/*.c tests/probe/*/*.h examples/payloads/*/*.c)

# program: modules it links, in order, and foreign libraries.  An archive gives only the objects that are needed.
berth-boot_mods   := boot base
berth-boot_libs    =
berthd_mods       := agent link update delta sandbox manifest boot base
berthd_libs        = $(L_crypto) $(L_zstd) $(L_seccomp) $(L_cap) $(L_systemd)
berth-bus_mods    := agent base
berth-bus_libs     = $(L_seccomp) $(L_cap)
berth-tell_mods   := base
berth-tell_libs    =
berth-link_mods   := link base
berth-link_libs    = $(L_crypto) $(L_fec) $(L_seccomp) $(L_cap) $(L_systemd)
berth-post_mods   := agent link base
berth-post_libs    = $(L_crypto) $(L_seccomp) $(L_cap)
berth-seal_mods   := link base
berth-seal_libs    = $(L_crypto)
berth-cl_mods     := link base
berth-cl_libs      = $(L_crypto) $(L_tls) $(L_seccomp) $(L_cap)
berth-unpack_mods := update delta manifest base
berth-unpack_libs  = $(L_archive) $(L_delta) $(L_crypto) $(L_seccomp) $(L_cap)
berth-launch_mods := sandbox base
berth-launch_libs  = $(L_cap)
berth-explain_mods := sandbox update delta manifest base
berth-lint_mods := sandbox base
berth-lint_libs  = $(L_cap)
berth-oci_mods    := oci sandbox base
berth-oci_libs     = $(call pkg_libs,jansson) $(L_seccomp) $(L_cap)
berth-explain_libs = $(L_crypto) $(L_archive) $(L_delta) $(L_seccomp) $(L_cap)
berth_mods        := orchestrator link update deltamake delta manifest base
berth_libs         = $(L_crypto) $(L_fec) $(L_archive) $(L_delta) $(L_make) $(L_seccomp) $(L_cap) $(L_ground)
berth-ground_mods := orchestrator link update deltamake delta manifest base
berth-ground_libs  = $(L_crypto) $(L_fec) $(L_archive) $(L_delta) $(L_make) $(L_seccomp) $(L_cap) $(L_systemd) $(L_ground)
berth-http_mods   := orchestrator base
berth-http_libs    = $(call pkg_libs,libcurl)
berth-api_mods    := orchestrator link update deltamake delta manifest base
berth-api_libs     = $(berth_libs) $(L_systemd) $(L_tls) $(L_http)
berth-sim_mods    := sim orchestrator agent link update deltamake delta sandbox manifest boot base
berth-sim_libs     = $(L_all)
berth-try_mods    := sim orchestrator agent link update deltamake delta sandbox manifest boot base
berth-try_libs     = $(L_all)

main_of    = $(firstword $(wildcard $(foreach m,$(MODULES),$(m)/main_$(subst -,_,$(1)).c)))
PROGRAMS  := $(foreach p,berth-boot berthd berth-bus berth-tell berth-link berth-post berth-cl berth-seal berth-unpack berth-launch berth-explain berth-lint berth-oci berth berth-ground berth-api berth-http berth-sim berth-try,$(if $(call main_of,$(p)),$(p)))
# The tenant's tool for packages that bring no libraries: on the archives that the system's -dev packages have, if
# they are there.
SEAL_STATIC := $(and $(wildcard $(shell $(CC) -print-file-name=libcrypto.a)),$(wildcard $(shell $(CC) -print-file-name=libsodium.a)),$(B)/berth-seal-static)
# the longest first, so that no core waits for one of them at the end
UNIT_LONG := test_faults_launch test_sandbox_gone test_agent_berthd test_agent_scrub test_faults_berthd test_trust_attacks test_faults_update test_agent_own test_agent_start
UNIT      := $(UNIT_LONG) $(filter-out $(UNIT_LONG),$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c)))
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# bench_delta and bench_renew are given packages and take minutes: make bench-delta
BENCHES   := $(filter-out bench_delta bench_renew,$(patsubst tests/bench/%.c,%,$(wildcard tests/bench/bench_*.c)))
EXAMPLES  := $(basename $(notdir $(wildcard examples/payloads/*/*.c)))
SIGNERS   := $(basename $(notdir $(wildcard examples/signers/*.c)))
PROBES    := $(patsubst tests/probe/%.c,%,$(wildcard tests/probe/*.c)) escape
# QEMU's microvm, in which it runs, is an x86 machine
PROBES    += $(if $(filter x86_64,$(shell uname -m)),vm_guest)

.PHONY: force all deps check unit unit-postgresql e2e asan fuzz fuzzers lint analyze prove bench bench-link bench-delta demo guest flatsat flatsat-powercut flatsat-flushes install clean help programs
.SECONDARY:
.DELETE_ON_ERROR:

all: deps ## build every program
	$(Q)$(MAKE) --no-print-directory programs
programs: $(addprefix $(B)/,$(PROGRAMS)) $(B)/berth.1 $(SEAL_STATIC) $(addprefix $(B)/tests/probe/,$(PROBES)) $(addprefix $(B)/examples/,$(EXAMPLES)) $(addprefix $(B)/examples/signers/,$(SIGNERS))

deps: ## install what is missing and build libcrypto where the system's is too old
	$(Q)tools/deps build check

# ---- rules ----------------------------------------------------------------------------------------------------
# Whole documents lie on the stacks of tests.
$(B)/tests/%.o: CFLAGS += -Wframe-larger-than=262144

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC      $<'
	$(Q)$(CC) $(CPPFLAGS) $(deps_cflags) $(CFLAGS) -MMD -MP -c -o $@ $<

# What is embedded as it is.
$(B)/orchestrator/api_console.o: $(wildcard orchestrator/console/*) docs/wire/openapi.json
$(B)/orchestrator/cmd_init_fleet.o: orchestrator/template/fleet.yaml

# The list changes when a file comes or goes, so that no archive keeps what is not in the tree any more.
define module_rules
$$(B)/lib$(1).list: force
	@mkdir -p $$(@D)
	@echo '$$(call lib_src,$(1))' | cmp -s - $$@ || echo '$$(call lib_src,$(1))' >$$@
$$(B)/lib$(1).a: $$(call objs,$$(call lib_src,$(1))) $$(B)/lib$(1).list
	@rm -f $$@
	$$(Q)ar rcsD $$@ $$(filter %.o,$$^)
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$(m))))

define program_rules
$$(B)/$(1): $$(call objs,$$(call main_of,$(1))) $$(call libs,$$($(1)_mods))
	@echo '  LINK    $$@'
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$($(1)_libs)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))
# man build/release/berth.1
$(B)/berth.1: $(B)/berth
	$(Q)$(B)/berth __man >$@.new && mv $@.new $@

ifeq ($(SAN),)
$(B)/berth-seal-static: $(call objs,$(call main_of,berth-seal)) $(call libs,$(berth-seal_mods))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(filter-out -pie -Wl$(comma)-rpath%,$(LDFLAGS)) -static-pie -s -Wl,--no-fatal-warnings,--no-warnings -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lcrypto -lsodium
else # no sanitizer is static: the ordinary one
$(B)/berth-seal-static: force
	$(Q)$(MAKE) --no-print-directory FLAVOUR=release SAN= OPT=-O2 CC=gcc B=build/release build/release/berth-seal-static
	@mkdir -p $(@D)
	$(Q)cp build/release/berth-seal-static $@
endif

TEST_LDFLAGS = $(filter-out -Wl$(comma)-rpath%,$(LDFLAGS)) -Wl,-rpath,'$$ORIGIN/../../../lib/berth'
comma := ,
$(B)/tests/unit/test_flatsat_phase: $(B)/tests/flatsat/phase.o
# Stores of tests can be put into PostgreSQL: tests/unit/store_rig.h.
$(B)/tests/unit/libstorerig.a: $(B)/tests/unit/store_rig.o
	@rm -f $@
	$(Q)ar rcsD $@ $<
$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(call libs,$(MODULES)) $(B)/tests/unit/libstorerig.a
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(TEST_LDFLAGS) -Wl,--wrap=store_open -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all) -lcmocka
$(B)/tests/bench/bench_%: $(B)/tests/bench/bench_%.o $(call libs,$(MODULES))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(TEST_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all) $(BENCH_LIBS)
$(B)/tests/bench/bench_transfer: BENCH_LIBS = -lcmocka
# A fuzz target under a plain compiler replays its corpus as an ordinary test.
$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(call libs,$(MODULES))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(TEST_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all)
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(call libs,$(MODULES))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(TEST_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all)
# Probes run inside sandboxes: static, on nothing but libc.
$(B)/tests/probe/%: tests/probe/%.c
	@mkdir -p $(@D)
	@echo '  CC      $<'
	$(Q)gcc -I. -D_GNU_SOURCE -std=gnu17 -O2 -Wall -Wextra -Werror -static -o $@ $<
# The one that is too large for a file.
ESCAPE := $(wildcard tests/probe/escape/*.c)
$(B)/tests/probe/escape: $(ESCAPE) tests/probe/escape/escape.h
	@mkdir -p $(@D)
	@echo '  CC      tests/probe/escape'
	$(Q)gcc -I. -D_GNU_SOURCE -std=gnu17 -O2 -Wall -Wextra -Wno-missing-field-initializers -Werror -static -o $@ $(ESCAPE)
# A guest of a virtual machine: no operating system below it, so no library either.
$(B)/tests/probe/vm_guest: tests/probe/vm/guest.c
	@mkdir -p $(@D)
	@echo '  CC      $<'
	$(Q)gcc -m32 -std=gnu17 -O1 -Wall -Wextra -Werror -ffreestanding -fno-pie -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -mno-sse -nostdlib -static -Wl,-e,start,-Ttext-segment=0x100000,--build-id=none,-z,noexecstack -o $@ $<

# The flatsat: a program on this side of the guest, and the radio's other half inside of it.
FLATSAT := $(filter-out tests/flatsat/radio_guest.c,$(wildcard tests/flatsat/*.c))
$(B)/tests/flatsat/radio: tests/flatsat/radio_guest.c tests/flatsat/frame.h
	@mkdir -p $(@D)
	@echo '  CC      $<'
	$(Q)gcc -I. -D_GNU_SOURCE -std=gnu17 -O2 -Wall -Wextra -Werror -static -s -o $@ $<
$(B)/tests/flatsat/flatsat: $(call objs,$(FLATSAT)) $(call libs,$(MODULES))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(TEST_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all)

# Example payloads are what tenants would write: plain C, no header and no library of ours.
define example_rules
$(B)/examples/$(basename $(notdir $(1))): $(1)
	@mkdir -p $$(@D)
	@echo '  CC      $$<'
	$$(Q)gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -o $$@ $$<
endef
$(foreach s,$(wildcard examples/payloads/*/*.c),$(eval $(call example_rules,$(s))))

# Example signers load a token's library, so they are not static.
$(B)/examples/signers/%: examples/signers/%.c
	@mkdir -p $(@D)
	@echo '  CC      $<'
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o $@ $<

# ---- tests ----------------------------------------------------------------------------------------------------
check: ## install what is missing, build, run every test
	$(Q)tools/deps build check
	$(Q)$(MAKE) --no-print-directory unit
	$(Q)$(MAKE) --no-print-directory unit-postgresql
	$(Q)$(MAKE) --no-print-directory e2e

unit: programs $(addprefix $(B)/tests/unit/,$(UNIT)) $(addprefix $(B)/tests/fuzz/replay_,$(patsubst fuzz_%,%,$(FUZZERS))) ## unit and vector tests, fuzz corpora replayed
	$(Q)BERTH_BUILD=$(B) tools/run-tests $(addprefix $(B)/tests/unit/,$(UNIT)) $(addprefix $(B)/tests/fuzz/replay_,$(patsubst fuzz_%,%,$(FUZZERS)))

# those that open a store
UNIT_STORE := $(patsubst tests/unit/%.c,%,$(shell grep -lE 'store_open|home_open|assert_berth' tests/unit/test_orchestrator_*.c))
unit-postgresql: programs $(addprefix $(B)/tests/unit/,$(UNIT_STORE)) ## the tests that use a store once more, on PostgreSQL
	$(Q)BERTH_BUILD=$(B) tools/with-postgresql tools/run-tests $(addprefix $(B)/tests/unit/,$(UNIT_STORE))

e2e: programs ## end-to-end scenarios
	$(Q)BERTH_BUILD=$(B) E2E_LESS=$(E2E_LESS) tools/run-e2e

# test programs that the guest runs
GUEST_TESTS := test_sandbox_cgroup test_sandbox_launch test_sandbox_stem test_sandbox_gone test_sandbox_live test_sandbox_escapes test_sandbox_images test_oci_run test_agent_berthd test_agent_door test_agent_refused test_agent_bus_berthd test_agent_mail test_agent_mail_post test_agent_bounds test_agent_vm test_sandbox_ordinary test_sim_try
guest: ## sandbox, agent and a scenario on a kernel with cgroup v2 only, in a QEMU guest (some minutes)
	$(Q)tools/deps build check guest
	$(Q)$(MAKE) --no-print-directory programs $(addprefix $(B)/tests/unit/,$(GUEST_TESTS))
	$(Q)tools/guest $(B)

# What the flatsat boots, and the program that boots it: docs/testing.md.
flatsat: ## a QEMU guest with Debian, systemd and Berth installed (build/flatsat), for tests of whole satellites
	$(Q)tools/deps build check guest
	$(Q)$(MAKE) --no-print-directory programs $(B)/tests/flatsat/radio $(B)/tests/flatsat/flatsat
	$(Q)tools/flatsat $(B)

.PHONY: flatsat-agents
flatsat-agents: flatsat ## let the agent of the flatsat replace itself: good builds, broken ones, power cuts in the trial (some ten minutes)
	$(Q)$(B)/tests/flatsat/flatsat agents

flatsat-powercut: flatsat ## cut the power of the flatsat at N random moments of updates (default 25, some 15 minutes; SEED repeats a run)
	@mkdir -p build/bench
	$(Q)$(B)/tests/flatsat/flatsat powercut --cuts $(or $(N),25) $(if $(SEED),--seed $(SEED)) --row build/bench/flatsat.jsonl

flatsat-flushes: flatsat ## log a flatsat's writes, check its disk as it was at POINTS (200) flushes and a little later
	@mkdir -p build/bench
	$(Q)$(B)/tests/flatsat/flatsat flushes --points $(or $(POINTS),200) $(if $(SEED),--seed $(SEED)) --row build/bench/flatsat.jsonl

.PHONY: escapes
escapes: ## the attacks on the sandbox, and the same under bubblewrap and crun: attack, wall, how each ends
	$(Q)tools/deps build check escapes
	$(Q)$(MAKE) --no-print-directory programs $(B)/tests/unit/test_sandbox_escapes
	$(Q)BERTH_BUILD=$(B) BERTH_PEERS=1 BERTH_TABLE=1 $(B)/tests/unit/test_sandbox_escapes

.PHONY: oci
oci: ## run the OCI runtime-tools' validation programs with berth-oci, and with crun (SUITE=DIR, a built checkout: docs/testing.md)
	$(Q)test -n '$(SUITE)' || { echo 'oci: where is the suite? to fix: make oci SUITE=DIR, docs/testing.md says how it is built' >&2; exit 2; }
	$(Q)$(MAKE) --no-print-directory programs
	$(Q)tools/oci-suite '$(SUITE)' '$(B)/berth-oci --bind-from /etc --ids 1000:3000' build/oci/berth-oci
	$(Q)if command -v crun >/dev/null; then BERTH_OCI_HIDE_V2=1 tools/oci-suite '$(SUITE)' crun build/oci/crun; fi

asan: ## every test under AddressSanitizer and UndefinedBehaviorSanitizer, those of the store on SQLite only
	$(Q)tools/deps build check
	$(Q)$(MAKE) --no-print-directory FLAVOUR=asan SAN=address,undefined OPT=-O1 unit
	$(Q)$(MAKE) --no-print-directory FLAVOUR=asan SAN=address,undefined OPT=-O1 E2E_LESS=1 e2e

fuzz: ## build the libFuzzer targets and run each for FUZZ_SECONDS (default 30)
	$(Q)tools/deps build fuzz
	$(Q)$(MAKE) --no-print-directory FLAVOUR=fuzz CC=clang SAN=fuzzer-no-link,address,undefined OPT=-O1 fuzzers
fuzzers: $(addprefix $(B)/tests/fuzz/,$(FUZZERS))
	$(Q)for f in $(FUZZERS); do mkdir -p $(B)/corpus/$$f tests/fuzz/corpus/$$f; echo "  FUZZ    $$f"; \
	  $(B)/tests/fuzz/$$f -max_total_time=$${FUZZ_SECONDS:-30} -print_final_stats=0 -verbosity=0 -max_len=65536 \
	  -artifact_prefix=$(B)/ $(B)/corpus/$$f tests/fuzz/corpus/$$f || exit 1; done

bench: programs $(addprefix $(B)/tests/bench/,$(BENCHES)) ## print figures beside those of peers, write build/bench/*.jsonl
	$(Q)tools/deps build bench
	$(Q)mkdir -p build/bench
	$(Q)for b in $(BENCHES); do BERTH_BUILD=$(B) $(B)/tests/bench/$$b build/bench/$${b#bench_}.jsonl || exit 1; done

LINK_BENCHES := bench_packet bench_link bench_transfer bench_receive
bench-link: programs $(addprefix $(B)/tests/bench/,$(LINK_BENCHES)) ## the figures of the link alone
	$(Q)tools/deps build bench
	$(Q)mkdir -p build/bench
	$(Q)for b in $(LINK_BENCHES); do BERTH_BUILD=$(B) $(B)/tests/bench/$$b build/bench/$${b#bench_}.jsonl || exit 1; done

.PHONY: bench-scale
bench-scale: $(B)/tests/bench/bench_scale ## what the ground's store costs with N satellites (N='10000 100000'), on PostgreSQL, too, where it is
	$(Q)mkdir -p build/bench
	$(Q)$(B)/tests/bench/bench_scale build/bench/scale.jsonl $(N)
	$(Q)for d in /usr/lib/postgresql/*/bin/initdb; do [ -x "$$d" ] || continue; \
	    for n in $(or $(N),10000); do echo "PostgreSQL"; \
	        tools/with-postgresql --durable $(B)/tests/bench/bench_scale build/bench/one.jsonl $$n && \
	        cat build/bench/one.jsonl >>build/bench/scale.jsonl || exit 1; done; break; done
	$(Q)rm -f build/bench/one.jsonl

.PHONY: bench-sandbox
SANDBOX_BENCHES := bench_sandbox bench_neighbour bench_seccomp
bench-sandbox: programs $(addprefix $(B)/tests/bench/,$(SANDBOX_BENCHES)) ## the figures of the sandbox alone, beside bubblewrap and crun
	$(Q)tools/deps build bench
	$(Q)mkdir -p build/bench
	$(Q)for b in $(SANDBOX_BENCHES); do BERTH_BUILD=$(B) $(B)/tests/bench/$$b build/bench/$${b#bench_}.jsonl || exit 1; done
	$(Q)cat build/bench/neighbour.jsonl build/bench/seccomp.jsonl >>build/bench/sandbox.jsonl

bench-delta: ## deltas of ten pairs of Debian packages beside xz, bsdiff, xdelta3 and zstd (long; fetches packages and peers)
	$(Q)tools/deps build
	$(Q)$(MAKE) --no-print-directory $(B)/tests/bench/bench_delta $(B)/tests/bench/bench_renew $(B)/berth-unpack
	$(Q)tools/bench-delta $(B)/tests/bench/bench_delta build/bench

demo: ## three satellites, three tenants, a lossy link, a bad release that rolls back
	$(Q)tools/deps build check
	$(Q)$(MAKE) --no-print-directory programs
	$(Q)$(B)/berth-sim run examples/scenarios/first-light.yaml

lint: ## formatting, include rules, foreign-library doors, cppcheck, clang-tidy
	$(Q)tools/deps build lint
	$(Q)tools/lint $(SOURCES)

analyze: ## gcc -fanalyzer over the library code
	$(Q)$(MAKE) --no-print-directory FLAVOUR=analyze CFLAGS='-g -fanalyzer' programs

prove: ## prove the CBOR readers, the space packet decoder and the envelope parser free of run-time errors (Frama-C, some minutes; PROVE_SECONDS for one goal)
	$(Q)tools/prove build/prove

.PHONY: agent-package
agent-package: all ## make the package berth/agent of this build (RELEASE=N, OUT=DIR): what a satellite's agent is replaced by
	$(Q)test -n '$(RELEASE)' || { echo 'agent-package: which release? to fix: make agent-package RELEASE=N' >&2; exit 2; }
	$(Q)tools/agent-package '$(B)' '$(or $(OUT),build/agent-package)' '$(RELEASE)'

# ---- install --------------------------------------------------------------------------------------------------
install: all ## install programs, private libcrypto and unit files under DESTDIR and PREFIX
	$(Q)tools/install '$(B)' '$(DESTDIR)' '$(PREFIX)'

clean: ## remove what was built (build/deps stays; remove build/ for all of it)
	rm -rf build/release build/asan build/fuzz build/analyze build/bench build/prove

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
