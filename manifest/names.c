/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the numbers that are on the wire, and the unverified look at a document's type.
 */
#include "base/cbor.h"
#include "manifest/doc.h"

static const char *const slot_names[SLOT_STATES] = {
    [SLOT_ABSENT] = "absent",           [SLOT_RECEIVING] = "receiving", [SLOT_STAGED] = "staged",
    [SLOT_VERIFIED] = "verified",       [SLOT_INSTALLED] = "installed", [SLOT_TRIAL] = "trial",
    [SLOT_COMMITTED] = "committed",     [SLOT_REFUSED] = "refused",     [SLOT_FAILED] = "failed",
    [SLOT_ROLLED_BACK] = "rolled-back",
};

static const char *const type_names[] = {
    [DOC_ROOT] = "root",         [DOC_GRANT] = "grant",   [DOC_MANIFEST] = "manifest",
    [DOC_ORDER] = "order",       [DOC_REPORT] = "report", [DOC_REVOCATION] = "revocation",
    [DOC_TOKEN] = "token",       [DOC_REKEY] = "rekey",   [DOC_DELEGATION] = "delegation",
    [DOC_AUDIT] = "audit",       [DOC_BRIEF] = "brief",   [DOC_APPROVAL] = "approval",
    [DOC_APPROVER] = "approver",
};

#define TYPE_NAMES (sizeof type_names / sizeof type_names[0])

const char *slot_state_name(enum slot_state state)
{
    return (unsigned)state < SLOT_STATES ? slot_names[state] : "?";
}

bool is_agent_name(const char *tenant, const char *name)
{
    return strcmp(tenant, AGENT_TENANT) == 0 && strcmp(name, AGENT_NAME) == 0;
}

const char *doc_type_name(enum doc_type type)
{
    return (unsigned)type < TYPE_NAMES && type_names[type] ? type_names[type] : "?";
}

enum rc doc_peek_type(struct bytes payload, enum doc_type *ret, struct err *err)
{
    struct cbor_in r = cbor_read(payload);
    uint64_t key = 0;

    (void)cbor_map(&r, "document", UINT8_MAX);
    if (!cbor_key(&r, &key) || key != 0)
        cbor_fail(&r, RC_DOC_TYPE, "document.type");
    (void)cbor_array(&r, "document.type", 2, 2);
    uint64_t type = cbor_uint(&r, "document.type", UINT32_MAX);
    uint64_t format = cbor_uint(&r, "document.format", UINT32_MAX);
    if (r.rc != RC_OK)
        return err_at(err, r.rc, r.fail_at, "%s", r.field);
    if (type >= TYPE_NAMES || !type_names[type])
        return err_set(err, RC_DOC_TYPE, "document.type");
    if (format != DOC_FORMAT)
        return err_set(err, RC_DOC_VERSION, "document.format");
    *ret = (enum doc_type)type;
    return RC_OK;
}
