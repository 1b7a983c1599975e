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

MODULES := base manifest update link sandbox agent orchestrator sim

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
deps_cflags = $(shell $(PKG_CONFIG) --cflags libcrypto libsodium libarchive libseccomp libsystemd sqlite3 yaml-0.1 jansson 2>/dev/null | sed 's,-I,-isystem ,g')
CFLAGS ?= -g
CFLAGS += -std=gnu17 $(OPT) $(WARN) $(if $(is_clang),$(WARN_CLANG),$(WARN_GCC)) $(WERROR) $(HARDEN) \
  $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all -DBERTH_SANITIZED=1 -Wframe-larger-than=262144 $(if $(is_clang),,-Wno-format-truncation))
LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed,--fatal-warnings,--gc-sections \
  $(if $(SAN),-fsanitize=$(SAN)) -Wl,-rpath,'$$ORIGIN/../lib/berth'

pkg_libs = $(shell $(PKG_CONFIG) --libs $(1))
L_crypto  = $(call pkg_libs,libcrypto libsodium)
L_archive = $(call pkg_libs,libarchive libzstd)
L_seccomp = $(call pkg_libs,libseccomp)
L_cap     = -lcap
L_systemd = $(call pkg_libs,libsystemd)
L_ground  = $(call pkg_libs,sqlite3 yaml-0.1 jansson)
L_all     = $(L_crypto) $(L_archive) $(L_seccomp) $(L_cap) $(L_systemd) $(L_ground)

# ---- what there is --------------------------------------------------------------------------------------------
lib_src  = $(filter-out $(1)/main_%.c,$(wildcard $(1)/*.c))
objs     = $(patsubst %.c,$(B)/%.o,$(1))
libs     = $(foreach m,$(1),$(B)/lib$(m).a)
SOURCES := $(foreach m,$(MODULES),$(wildcard $(m)/*.c $(m)/*.h)) $(wildcard tests/*/*.c tests/*/*.h examples/payloads/*/*.c)

# program: modules it links, in order, and foreign libraries.  An archive gives only the objects that are needed.
berthd_mods       := agent link update sandbox manifest base
berthd_libs        = $(L_crypto) $(L_seccomp) $(L_cap) $(L_systemd)
berth-link_mods   := link base
berth-link_libs    = $(L_crypto) $(L_seccomp) $(L_cap) $(L_systemd)
berth-unpack_mods := update manifest base
berth-unpack_libs  = $(L_archive) $(L_crypto) $(L_seccomp) $(L_cap)
berth-launch_mods := sandbox base
berth-launch_libs  = $(L_seccomp) $(L_cap)
berth-explain_mods := sandbox update manifest base
berth-explain_libs = $(L_crypto) $(L_archive) $(L_seccomp) $(L_cap)
berth_mods        := orchestrator link update manifest base
berth_libs         = $(L_crypto) $(L_archive) $(L_seccomp) $(L_cap) $(L_ground)
berth-ground_mods := orchestrator link update manifest base
berth-ground_libs  = $(L_crypto) $(L_archive) $(L_seccomp) $(L_cap) $(L_systemd) $(L_ground)
berth-sim_mods    := sim orchestrator agent link update sandbox manifest base
berth-sim_libs     = $(L_all)

main_of    = $(firstword $(wildcard $(foreach m,$(MODULES),$(m)/main_$(subst -,_,$(1)).c)))
PROGRAMS  := $(foreach p,berthd berth-link berth-unpack berth-launch berth-explain berth berth-ground berth-sim,$(if $(call main_of,$(p)),$(p)))
UNIT      := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHES   := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/bench_*.c))
EXAMPLES  := $(basename $(notdir $(wildcard examples/payloads/*/*.c)))
SIGNERS   := $(basename $(notdir $(wildcard examples/signers/*.c)))
PROBES    := $(patsubst tests/probe/%.c,%,$(wildcard tests/probe/*.c))

.PHONY: all deps check unit e2e asan fuzz fuzzers lint analyze bench demo guest install clean help programs
.SECONDARY:
.DELETE_ON_ERROR:

all: deps ## build every program
	$(Q)$(MAKE) --no-print-directory programs
programs: $(addprefix $(B)/,$(PROGRAMS)) $(addprefix $(B)/tests/probe/,$(PROBES)) $(addprefix $(B)/examples/,$(EXAMPLES)) $(addprefix $(B)/examples/signers/,$(SIGNERS))

deps: ## install what is missing and build libcrypto where the system's is too old
	$(Q)tools/deps build check

# ---- rules ----------------------------------------------------------------------------------------------------
$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC      $<'
	$(Q)$(CC) $(CPPFLAGS) $(deps_cflags) $(CFLAGS) -MMD -MP -c -o $@ $<

define module_rules
$$(B)/lib$(1).a: $$(call objs,$$(call lib_src,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcsD $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$(m))))

define program_rules
$$(B)/$(1): $$(call objs,$$(call main_of,$(1))) $$(call libs,$$($(1)_mods))
	@echo '  LINK    $$@'
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$($(1)_libs)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

TEST_LDFLAGS = $(filter-out -Wl$(comma)-rpath%,$(LDFLAGS)) -Wl,-rpath,'$$ORIGIN/../../../lib/berth'
comma := ,
$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(call libs,$(MODULES))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(TEST_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all) -lcmocka
$(B)/tests/bench/bench_%: $(B)/tests/bench/bench_%.o $(call libs,$(MODULES))
	@echo '  LINK    $@'
	$(Q)$(CC) $(CFLAGS) $(TEST_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(L_all)
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
	$(Q)$(MAKE) --no-print-directory e2e

unit: programs $(addprefix $(B)/tests/unit/,$(UNIT)) $(addprefix $(B)/tests/fuzz/replay_,$(patsubst fuzz_%,%,$(FUZZERS))) ## unit and vector tests, fuzz corpora replayed
	$(Q)BERTH_BUILD=$(B) tools/run-tests $(addprefix $(B)/tests/unit/,$(UNIT)) $(addprefix $(B)/tests/fuzz/replay_,$(patsubst fuzz_%,%,$(FUZZERS)))

e2e: programs ## end-to-end scenarios
	$(Q)BERTH_BUILD=$(B) tools/run-e2e

# test programs that the guest runs
GUEST_TESTS := test_sandbox_cgroup test_sandbox_launch test_agent_berthd
guest: ## sandbox, agent and a scenario on a kernel with cgroup v2 only, in a QEMU guest (some minutes)
	$(Q)tools/deps build check guest
	$(Q)$(MAKE) --no-print-directory programs $(addprefix $(B)/tests/unit/,$(GUEST_TESTS))
	$(Q)tools/guest $(B)

asan: ## every test under AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory FLAVOUR=asan SAN=address,undefined OPT=-O1 check

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

demo: ## three satellites, three tenants, a lossy link, a bad release that rolls back
	$(Q)tools/deps build check
	$(Q)$(MAKE) --no-print-directory programs
	$(Q)$(B)/berth-sim run examples/scenarios/first-light.yaml

lint: ## formatting, include rules, foreign-library doors, cppcheck, clang-tidy
	$(Q)tools/deps build lint
	$(Q)tools/lint $(SOURCES)

analyze: ## gcc -fanalyzer over the library code
	$(Q)$(MAKE) --no-print-directory FLAVOUR=analyze CFLAGS='-g -fanalyzer' programs

# ---- install --------------------------------------------------------------------------------------------------
install: all ## install programs, private libcrypto and unit files under DESTDIR and PREFIX
	$(Q)tools/install '$(B)' '$(DESTDIR)' '$(PREFIX)'

clean: ## remove what was built (build/deps stays; remove build/ for all of it)
	rm -rf build/release build/asan build/fuzz build/analyze build/bench

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
