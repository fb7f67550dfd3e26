/**
 * Every error that a person or a client can meet: its HTTP status, the OCI code that a registry client is told
 * (distribution-spec § Error Codes), and a sentence that is safe to show to anyone. docs/errors.md says what to do about each;
 * a test compares the two.
 */
export const catalogue = {
  // What a caller of the proxy did wrong
  REQUEST_MALFORMED: { status: 400, oci: 'UNSUPPORTED', message: 'the request is not a well-formed pull' },
  NAMESPACE_INVALID: {
    status: 400,
    oci: 'NAME_INVALID',
    message: 'the registry that "ns" or the path names is not a valid host',
  },
  NAME_INVALID: { status: 400, oci: 'NAME_INVALID', message: 'the repository name is not valid' },
  TAG_INVALID: { status: 400, oci: 'TAG_INVALID', message: 'the tag is not valid' },
  DIGEST_INVALID: { status: 400, oci: 'DIGEST_INVALID', message: 'the digest is not valid' },
  HOST_REFUSED: { status: 403, oci: 'DENIED', message: 'the Host header names no address of this proxy' },
  CALLER_REFUSED: {
    status: 403,
    oci: 'DENIED',
    message: 'this proxy does not let the caller in',
  },
  PULL_SECRET_REQUIRED: {
    status: 401,
    oci: 'UNAUTHORIZED',
    message: 'this registry needs the pull secret of the pod, and the request carried none',
  },
  PULL_SECRET_WRONG: {
    status: 403,
    oci: 'DENIED',
    message: 'the pull secret is not the credential that is in force for this registry',
  },
  METHOD_UNSUPPORTED: { status: 405, oci: 'UNSUPPORTED', message: 'this proxy only pulls: GET and HEAD' },
  REGISTRY_UNLISTED: {
    status: 404,
    oci: 'NAME_UNKNOWN',
    message: 'this registry is not listed in the configuration of the proxy',
  },
  REPOSITORY_UNLISTED: {
    status: 404,
    oci: 'NAME_UNKNOWN',
    message: 'this repository is not among those that the configuration of the proxy allows',
  },
  PATH_UNKNOWN: {
    status: 404,
    oci: 'UNSUPPORTED',
    message: 'this path is no part of the registry API that the proxy serves',
  },
  // What stands in the way of a credential
  CREDENTIAL_MISSING: {
    status: 503,
    oci: 'UNAVAILABLE',
    message: 'this registry needs a credential and none is stored',
  },
  CREDENTIAL_REJECTED: {
    status: 403,
    oci: 'DENIED',
    message: 'the registry refused the stored credential',
  },
  REPOSITORY_REFUSED: {
    status: 403,
    oci: 'DENIED',
    message: 'the registry does not let the stored credential read this repository',
  },
  ANONYMOUS_REFUSED: {
    status: 403,
    oci: 'DENIED',
    message: 'the registry asks for a credential for this repository, and none is stored',
  },
  KEYCHAIN_LOCKED: { status: 503, oci: 'UNAVAILABLE', message: 'the keychain is locked' },
  KEYCHAIN_UNAVAILABLE: { status: 503, oci: 'UNAVAILABLE', message: 'the keychain cannot be read' },
  KEYCHAIN_CORRUPT: {
    status: 503,
    oci: 'UNAVAILABLE',
    message: 'the keychain holds an item that this version cannot read',
  },
  KEYCHAIN_NEWER: {
    status: 409,
    message:
      'the keychain holds credentials that are newer than, or differ from, those to be put in; nothing was changed',
  },
  BACKUP_UNREADABLE: { status: 422, message: 'the backup cannot be opened' },
  BACKUP_UNWRITABLE: { status: 422, message: 'the backup cannot be written' },
  // What the registry, its token server or its store did
  CHALLENGE_UNSUPPORTED: {
    status: 502,
    oci: 'UNKNOWN',
    message: 'the registry asks for a way to authenticate that is not supported',
  },
  REALM_REFUSED: {
    status: 502,
    oci: 'UNKNOWN',
    message: 'the registry names a token server that is not allowed for it',
  },
  TOKEN_SERVER_FAILED: { status: 502, oci: 'UNKNOWN', message: 'the token server did not answer as it must' },
  TOKEN_MALFORMED: { status: 502, oci: 'UNKNOWN', message: 'the token server answered without a usable token' },
  TOO_MANY_REQUESTS: {
    status: 429,
    oci: 'TOOMANYREQUESTS',
    message: 'the registry or its token server asks to be left alone for a while',
  },
  REDIRECT_REFUSED: { status: 502, oci: 'UNKNOWN', message: 'the registry redirects to a place that is not allowed' },
  STORE_REFUSED: {
    status: 502,
    oci: 'UNAVAILABLE',
    message: 'the store that the registry redirects to refused the request',
  },
  ADDRESS_REFUSED: { status: 502, oci: 'UNKNOWN', message: 'the name resolves to an address that is not allowed' },
  EGRESS_PROXY_FAILED: {
    status: 502,
    oci: 'UNAVAILABLE',
    message: 'the egress proxy opens no way to the registry',
  },
  UPSTREAM_UNREACHABLE: { status: 502, oci: 'UNAVAILABLE', message: 'the registry cannot be reached' },
  UPSTREAM_MALFORMED: {
    status: 502,
    oci: 'UNKNOWN',
    message: 'the registry answered with something that is not HTTP as it must be',
  },
  UPSTREAM_TIMEOUT: { status: 504, oci: 'UNAVAILABLE', message: 'the registry did not answer in time' },
  // What the admin API refuses
  BODY_MALFORMED: { status: 400, message: 'the body is not valid JSON, or a key stands in it twice' },
  BODY_INVALID: { status: 422, message: 'the body does not have the required form' },
  BODY_TOO_LARGE: { status: 413, message: 'the body is larger than 64 KiB' },
  PARAMETER_INVALID: { status: 400, message: 'a header or query parameter does not have the required form' },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, message: 'the body must be application/json' },
  ORIGIN_REFUSED: { status: 403, message: 'requests from web pages are refused' },
  TOKEN_REFUSED: {
    status: 401,
    message: 'this listener needs an admin token, and the request carried none or a wrong one',
  },
  TOKEN_EXPIRED: { status: 401, message: 'the admin token has expired' },
  TOKEN_SCOPE_MISSING: { status: 403, message: 'the admin token does not open this' },
  KUBERNETES_ACCESS_DENIED: { status: 403, message: 'the cluster gives this caller no right to that' },
  KUBERNETES_AUTH_UNAVAILABLE: { status: 503, message: 'the cluster cannot be asked about this caller' },
  TOO_MANY_FAILURES: { status: 429, message: 'too many requests with a wrong token or none' },
  TOKENS_UNAVAILABLE: { status: 503, message: 'the file of the admin tokens cannot be used' },
  TOKEN_NOT_FOUND: { status: 404, message: 'there is no admin token with this id' },
  TOKEN_LIMIT: { status: 409, message: 'there are as many admin tokens as there may be' },
  TOO_MANY_STREAMS: { status: 503, message: 'as many event streams are open as there may be' },
  METHOD_NOT_ALLOWED: { status: 405, message: 'this resource does not know that method' },
  NOT_FOUND: { status: 404, message: 'there is no such resource' },
  CREDENTIAL_NOT_FOUND: { status: 404, message: 'no credential is stored for this registry' },
  CREDENTIAL_REFUSED: { status: 422, message: 'the registry refused this credential; nothing was stored' },
  CREDENTIAL_UNVERIFIABLE: {
    status: 422,
    message: 'the registry lets anybody in, so the credential cannot be verified',
  },
  ROTATION_NOT_FOUND: { status: 404, message: 'there is no rotation with this id' },
  ROTATION_ACTIVE: { status: 409, message: 'another rotation of this credential is under way' },
  ROTATION_SETTLED: { status: 409, message: 'this rotation has already ended' },
  ROTATION_ABORTED: { status: 409, message: 'this rotation was aborted on request' },
  ROTATION_APPLIED: {
    status: 409,
    message: 'the registry may know the new password already, and the one in force is not seen to work there',
  },
  ROTATION_NOT_STUCK: { status: 409, message: 'this rotation is not stuck' },
  VERSION_REFUSED: { status: 422, message: 'the registry does not accept the version that was named' },
  ROLLBACK_IMPOSSIBLE: { status: 409, message: 'this rotation cannot be taken back' },
  JOURNAL_UNAVAILABLE: { status: 503, message: 'the journal of rotations cannot be written, so none is begun' },
  HOOK_NOT_CONFIGURED: {
    status: 422,
    message: 'a generated password needs a hook that sets it at the registry, and none is configured',
  },
  HOOK_FAILED: { status: 502, message: 'the hook did not set the new password at the registry' },
  NO_VERSION_WORKS: { status: 502, message: 'the registry accepts none of the stored versions' },
  IDEMPOTENCY_CONFLICT: { status: 409, message: 'this Idempotency-Key was used with another body' },
  KUBERNETES_NOT_CONFIGURED: { status: 404, message: 'no Kubernetes cluster is configured' },
  FLEET_UNAVAILABLE: {
    status: 503,
    message: 'the fleet cannot be told of this change of a credential, so it is not made',
  },
  FLEET_CONFLICT: {
    status: 409,
    message: 'what the fleet holds of this credential does not go with what this node holds',
  },
  FLEET_NOT_SHARED: { status: 409, message: 'the credential of this registry is not held on this node' },
  ROTATION_ELSEWHERE: { status: 409, message: 'another node of the fleet drives this rotation' },
  KUBERNETES_FAILED: { status: 502, message: 'the Kubernetes API did not do what was asked' },
  // The daemon and its command line
  AUDIT_UNAVAILABLE: {
    status: 503,
    oci: 'UNAVAILABLE',
    message: 'the audit file cannot be written, so nothing is served',
  },
  SHUTTING_DOWN: { status: 503, oci: 'UNAVAILABLE', message: 'the daemon is stopping' },
  CONFIG_INVALID: { status: 500, message: 'the configuration is not valid' },
  LISTEN_FAILED: { status: 500, message: 'the daemon cannot listen where the configuration says' },
  DAEMON_UNREACHABLE: { status: 503, message: 'the daemon does not answer on its admin socket' },
  PERMISSION_DENIED: { status: 403, message: 'you may not use the admin socket' },
  USAGE: { status: 400, message: 'the command line is not as it should be' },
  INTERNAL: { status: 500, oci: 'UNKNOWN', message: 'an error in regcredd itself' },
} as const satisfies Record<string, { status: number; oci?: string; message: string }>

export type ErrorCode = keyof typeof catalogue

/**
 * An error with a code from the catalogue. `detail` is shown to the client beside the catalogue's message, so it must be safe:
 * no secret, no query, no redirect target. `cause` goes nowhere but to the log, redacted.
 */
export class RegcreddError extends Error {
  readonly code: ErrorCode
  readonly detail: string | undefined
  /** When it is worth to ask again, in seconds, where that is known. */
  readonly retryAfterS: number | undefined

  constructor(code: ErrorCode, detail?: string, options?: { cause?: unknown; retryAfterS?: number }) {
    super(detail === undefined ? catalogue[code].message : `${catalogue[code].message}: ${detail}`, options)
    this.name = 'RegcreddError'
    this.code = code
    this.detail = detail
    this.retryAfterS = options?.retryAfterS
  }

  get status(): number {
    return catalogue[this.code].status
  }

  /** The code that a registry client is told (distribution-spec § Error Codes). */
  get oci(): string {
    const entry: { status: number; oci?: string } = catalogue[this.code]
    return entry.oci ?? 'UNKNOWN'
  }
}

/** What was thrown, as one of ours; anything unknown is INTERNAL with the original as its cause. */
export function toRegcreddError(thrown: unknown): RegcreddError {
  return thrown instanceof RegcreddError ? thrown : new RegcreddError('INTERNAL', undefined, { cause: thrown })
}

/** The code of an error of the system or of Node (`ENOENT`), where what was thrown has one. */
export function errnoOf(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'string' ? code : undefined
}
