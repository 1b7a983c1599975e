/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_http_answer: how answers go out.
 */
#include "orchestrator/api_http_parts.h"

static const char *const headers[][2] = {
    { "Cache-Control", "no-store" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
      "img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'" },
};

enum MHD_Result api_http_queue(struct api_http *h, struct MHD_Connection *c, unsigned status,
                               const char *type, struct MHD_Response *response)
{
    enum MHD_Result done = MHD_NO;

    if (!response)
        return MHD_NO;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (h->tls)
        (void)MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000");
    if (status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                      "Bearer realm=\"berth\"");
    if (status == MHD_HTTP_TOO_MANY_REQUESTS)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    done = MHD_queue_response(c, status, response);
    MHD_destroy_response(response);
    h->answered[status / 100 < 6 ? status / 100 : 0]++;
    return done;
}

enum MHD_Result api_http_give(struct api_http *h, struct MHD_Connection *c,
                              struct api_answer *answer)
{
    char *text = answer->text;

    h->refused += answer->refused == RC_API_AUTH;
    h->limited += answer->refused == RC_API_LIMIT;
    answer->text = NULL;
    if (!text)
        return MHD_NO; /* no memory: the connection ends */
    return api_http_queue(h, c, answer->status, answer->type,
                          MHD_create_response_from_buffer(answer->n, text, MHD_RESPMEM_MUST_FREE));
}

enum MHD_Result api_http_json(struct api_http *h, struct MHD_Connection *c, unsigned status,
                              json_t *value)
{
    struct api_answer answer = api_answer_json(status, API_JSON, value);

    return api_http_give(h, c, &answer);
}

enum MHD_Result api_http_refuse(struct api_http *h, struct MHD_Connection *c, const struct err *err)
{
    struct api_answer answer = api_answer_error(err);

    return api_http_give(h, c, &answer);
}

enum MHD_Result api_http_bytes(struct api_http *h, struct MHD_Connection *c, const char *type,
                               struct bytes content)
{
    return api_http_queue(h, c, MHD_HTTP_OK, type,
                          MHD_create_response_from_buffer(content.n, (void *)(uintptr_t)content.p,
                                                          MHD_RESPMEM_PERSISTENT));
}

struct api_place *api_http_place(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}
