import type { NextFunction, Request, Response } from 'express'
import { catalogue, type ErrorCode, RegcreddError, toRegcreddError } from '../errors.ts'

/** What is wrong with one field; `message` never holds the value. */
export type FieldProblem = { path: string; message: string }

/** BODY_INVALID or PARAMETER_INVALID with every problem found. */
export class InvalidRequest extends RegcreddError {
  readonly problems: FieldProblem[]

  constructor(code: 'BODY_INVALID' | 'PARAMETER_INVALID', problems: FieldProblem[]) {
    super(code, problems.map(({ path, message }) => (path === '' ? message : `${path} ${message}`)).join('; '))
    this.problems = problems
  }
}

/** RFC 6750 § 3. */
const CHALLENGES: Partial<Record<ErrorCode, string>> = {
  TOKEN_REFUSED: 'Bearer realm="regcredd"',
  TOKEN_EXPIRED: 'Bearer realm="regcredd", error="invalid_token"',
  TOKEN_SCOPE_MISSING: 'Bearer realm="regcredd", error="insufficient_scope"',
  KUBERNETES_ACCESS_DENIED: 'Bearer realm="regcredd", error="insufficient_scope"',
}

const faults = new WeakMap<Response, RegcreddError>()

/** The error that a request was answered with. */
export function faultOf(response: Response): RegcreddError | undefined {
  return faults.get(response)
}

/** The one place where a thrown error becomes an answer: RFC 9457, `type` is `urn:regcredd:error:` and our code. */
export function answerProblem(thrown: unknown, _request: Request, response: Response, _next: NextFunction): void {
  const error = fromExpress(thrown)
  faults.set(response, error)
  if (response.headersSent) {
    response.destroy()
    return
  }
  if (error.retryAfterS !== undefined) response.set('Retry-After', String(Math.ceil(error.retryAfterS)))
  const challenge = CHALLENGES[error.code]
  if (challenge !== undefined) response.set('WWW-Authenticate', challenge)
  response
    .status(error.status)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `urn:regcredd:error:${error.code}`,
        title: catalogue[error.code].message,
        status: error.status,
        detail: error.detail ?? catalogue[error.code].message,
        code: error.code,
        ...(error instanceof InvalidRequest ? { errors: error.problems } : {}),
      }),
    )
}

function fromExpress(thrown: unknown): RegcreddError {
  // The router throws a URIError for a path that is not well-formed percent-encoding; its message quotes the path.
  if (thrown instanceof URIError) return new RegcreddError('PARAMETER_INVALID', 'the path is not well-formed')
  return toRegcreddError(thrown)
}
