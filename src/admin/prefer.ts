const MAX_WAIT_SECONDS = 600
// RFC 7240 § 2: preferences in a list, a value bare or quoted, parameters behind a semicolon; § 4.3: wait is in seconds.
const WAIT = /(?:^|,)\s*wait\s*=\s*("?)(\d{1,9})\1\s*(?=$|[,;])/i

/** Seconds of `Prefer: wait=N`, at most 600; the first one counts. What cannot be understood is no preference, as RFC 7240 § 2 says. */
export function preferredWaitSeconds(header: string | undefined): number | undefined {
  const seconds = WAIT.exec(header ?? '')?.[2]
  return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT_SECONDS)
}
