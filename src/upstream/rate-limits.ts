/** What is limited by itself: the Hub counts manifests and not blobs, and a token server is another server. */
export type LimitedPart = 'manifests' | 'blobs' | 'tokens'

export type MetLimit = { registry: string; part: LimitedPart; retryAt: Date }

/** Remembers which registries asked to be left alone (429), so that pulls are told at once instead of hammering them. */
export type RateLimits = {
  /** Whole seconds until a part of a registry may be asked again; undefined: it may be asked now. */
  waitSeconds(registry: string, part: LimitedPart): number | undefined
  met(registry: string, part: LimitedPart, waitMs: number): void
  /** After a login, rotation or logout: limits are counted by account. */
  forgetRegistry(name: string): void
  current(): MetLimit[]
}

const PARTS: LimitedPart[] = ['manifests', 'blobs', 'tokens']
/** Where the registry does not say how long; Docker's and containerd's five tries come within it. */
const DEFAULT_WAIT_MS = 5_000
const LONGEST_WAIT_MS = 600_000

/** Makes an empty memory; it holds three entries for each listed registry at the most. */
export function createRateLimits({ nowMs, wallNowMs }: { nowMs(): number; wallNowMs(): number }): RateLimits {
  const untilMs = new Map<string, number>()
  const keyOf = (registry: string, part: LimitedPart) => `${part} ${registry}`
  const leftMs = (key: string) => (untilMs.get(key) ?? -Infinity) - nowMs()
  return {
    waitSeconds(registry, part) {
      const left = leftMs(keyOf(registry, part))
      return left > 0 ? Math.ceil(left / 1000) : undefined
    },
    met: (registry, part, waitMs) => void untilMs.set(keyOf(registry, part), nowMs() + waitMs),
    forgetRegistry: (name) => {
      for (const part of PARTS) untilMs.delete(keyOf(name, part))
    },
    current: () =>
      [...untilMs.keys()].flatMap((key) => {
        const part = PARTS.find((each) => key.startsWith(`${each} `))
        if (part === undefined || leftMs(key) <= 0) return []
        return [{ registry: key.slice(part.length + 1), part, retryAt: new Date(wallNowMs() + leftMs(key)) }]
      }),
  }
}

/** How long `Retry-After` (RFC 9110 § 10.2.3: seconds or a date) asks to wait: 5 s where it says nothing, 10 min at the most. */
export function retryAfterMs(header: string | undefined, wallNowMs: number): number {
  const text = header?.trim() ?? ''
  const waitMs = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - wallNowMs
  return Number.isNaN(waitMs) ? DEFAULT_WAIT_MS : Math.min(Math.max(waitMs, 0), LONGEST_WAIT_MS)
}

/** The number that a `RateLimit-Limit` or `-Remaining` header begins with (`100;w=21600`). */
export function rateLimitNumber(header: string | string[] | undefined): number | undefined {
  const [, digits] = /^(\d{1,9})(?:;|,|$)/.exec(typeof header === 'string' ? header.trim() : '') ?? []
  return digits === undefined ? undefined : Number(digits)
}
