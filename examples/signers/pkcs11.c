/* SPDX-License-Identifier: Apache-2.0
 *
 * A signer for `berth --signer` (docs/guide/key-ceremony.md): the Ed25519 half of a key in a
 * PKCS#11 token (CKM_EDDSA, PKCS#11 3.0).  The key pair's label is NAME.  The ML-DSA half is not
 * here: give
 * --signer-rest.  Build: cc -O2 -o pkcs11 pkcs11.c
 *
 *     PKCS11_MODULE  the token's library, such as /usr/lib/softhsm/libsofthsm2.so
 *     PKCS11_PIN     the PIN of its user
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As much of PKCS#11 2.40 as is needed: the function list's order is the standard's. */
typedef unsigned long ck;
struct attribute {
    ck type;
    void *value;
    ck n;
};
struct mechanism {
    ck mechanism;
    void *parameter;
    ck n;
};
struct functions {
    unsigned char version[2];
    void *f[68];
};
enum {
    INITIALIZE = 0,
    FINALIZE = 1,
    GET_SLOT_LIST = 4,
    OPEN_SESSION = 12,
    LOGIN = 18,
    GET_ATTRIBUTE = 24,
    FIND_INIT = 26,
    FIND = 27,
    FIND_FINAL = 28,
    SIGN_INIT = 42,
    SIGN = 43
};
enum {
    CKA_CLASS = 0,
    CKA_LABEL = 3,
    CKA_EC_POINT = 0x181,
    CKO_PUBLIC = 2,
    CKO_PRIVATE = 3,
    CKM_EDDSA = 0x1057,
    CKF_SERIAL_SESSION = 4,
    CKU_USER = 1
};

static struct functions *token;

static void check(ck rv, const char *what)
{
    if (rv == 0)
        return;
    (void)fprintf(stderr, "signer: %s: 0x%lx\n", what, rv);
    exit(1);
}

#define CALL(which, types, ...) check(((ck(*) types)token->f[which])(__VA_ARGS__), #which)

static ck find(ck session, ck class, char *label)
{
    struct attribute want[] = { { CKA_CLASS, &class, sizeof class },
                                { CKA_LABEL, label, strlen(label) } };
    ck found = 0, n = 0;

    CALL(FIND_INIT, (ck, struct attribute *, ck), session, want, 2);
    CALL(FIND, (ck, ck *, ck, ck *), session, &found, 1, &n);
    CALL(FIND_FINAL, (ck), session);
    check(n != 1, "no such key in the token");
    return found;
}

static void print(const unsigned char *p, size_t n)
{
    check(write(STDOUT_FILENO, p, n) != (ssize_t)n, "stdout");
}

static void public_half(ck session, char *name)
{
    unsigned char point[64]; /* DER: OCTET STRING (04 20), then the key */
    struct attribute get = { CKA_EC_POINT, point, sizeof point };

    CALL(GET_ATTRIBUTE, (ck, ck, struct attribute *, ck), session, find(session, CKO_PUBLIC, name),
         &get, 1);
    check(get.n < 32 || get.n > sizeof point, "public key");
    print(point + get.n - 32, 32);
}

static void sign(ck session, char *name)
{
    static unsigned char message[128 * 1024];
    struct mechanism eddsa = { CKM_EDDSA, NULL, 0 };
    char *pin = getenv("PKCS11_PIN");
    unsigned char signature[64];
    ck size = sizeof signature;
    size_t n = fread(message, 1, sizeof message, stdin);

    check(n == 0 || n == sizeof message || !pin, "no message, or no PKCS11_PIN");
    CALL(LOGIN, (ck, ck, char *, ck), session, CKU_USER, pin, strlen(pin));
    CALL(SIGN_INIT, (ck, struct mechanism *, ck), session, &eddsa,
         find(session, CKO_PRIVATE, name));
    CALL(SIGN, (ck, unsigned char *, ck, unsigned char *, ck *), session, message, n, signature,
         &size);
    check(size != sizeof signature, "signature size");
    print(signature, sizeof signature);
}

int main(int argc, char **argv)
{
    const char *module = getenv("PKCS11_MODULE");
    void *library = module ? dlopen(module, RTLD_NOW) : NULL;
    ck (*list)(struct functions **) = NULL;
    ck slots[16], n = 16, session = 0;

    check(argc != 4 || strcmp(argv[2], "ed25519") != 0,
          "the token has Ed25519 only: use --signer-rest");
    check(!library, "PKCS11_MODULE cannot be loaded");
    *(void **)&list = dlsym(library, "C_GetFunctionList");
    check(!list, "not a PKCS#11 module");
    check(list(&token), "C_GetFunctionList");
    CALL(INITIALIZE, (void *), NULL);
    CALL(GET_SLOT_LIST, (unsigned char, ck *, ck *), 1, slots, &n);
    check(n == 0, "no token");
    CALL(OPEN_SESSION, (ck, ck, void *, void *, ck *), slots[0], CKF_SERIAL_SESSION, NULL, NULL,
         &session);
    if (strcmp(argv[1], "public") == 0)
        public_half(session, argv[3]);
    else
        sign(session, argv[3]);
    CALL(FINALIZE, (void *), NULL);
    return 0;
}
