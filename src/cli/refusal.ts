/** The daemon's answer of RFC 9457: what it has against the request. Its code may be one that this version does not know. */
export class Refusal extends Error {
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
  readonly code: string | undefined

  constructor(status: number, body: unknown) {
    const problem = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
    const title = textOf(problem['title']) ?? `the daemon answered with status ${status}`
    super(title)
    this.name = 'Refusal'
    this.status = status
    this.title = title
    this.detail = textOf(problem['detail'])
    this.code = textOf(problem['code'])
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
