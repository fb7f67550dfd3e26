import { z } from 'zod'
import { checkAbsolute } from './files.ts'
import type { Report } from './problem.ts'

const DAY_SECONDS = 86_400
const UNIT_SECONDS: Record<string, number> = { h: 3_600, d: DAY_SECONDS, w: 7 * DAY_SECONDS }

const duration = z
  .string()
  .regex(/^[1-9][0-9]{0,3}[hdw]$/, 'must be a number of hours, days or weeks, such as "12h" or "30d"')

/** `registries[].rotation`. */
export const registryRotation = z.strictObject({
  graceSeconds: z
    .int()
    .min(0)
    .max(90 * DAY_SECONDS)
    .default(DAY_SECONDS)
    .describe('How long PREVIOUS is kept once the new password is mirrored; then it is deleted.'),
  hook: z
    .strictObject({
      command: z
        .array(z.string().min(1))
        .min(1)
        .describe('The program, an absolute path, and its arguments; run without a shell. No secret may stand here.'),
      timeoutMs: z
        .int()
        .min(100)
        .max(600_000)
        .default(30_000)
        .describe('How long it may take before it is killed with all that it has started.'),
    })
    .optional()
    .describe('What sets a generated password at the registry (docs/rotation.md). Absent: passwords are provided.'),
  generate: z
    .strictObject({
      length: z.int().min(20).max(128).default(40).describe('Characters of a generated password.'),
      alphabet: z
        .enum(['alphanumeric', 'signs', 'hex'])
        .default('alphanumeric')
        .describe(
          '`alphanumeric`: letters and digits. `signs`: also `-._~`. `hex`: 0-9a-f. At least one of each kind.',
        ),
    })
    .prefault({})
    .describe('How generated passwords look.'),
  rotateEvery: duration
    .optional()
    .describe(
      'How old a password may get before a new one is generated, less up to a tenth by chance; needs `hook`. Absent: only when somebody asks.',
    ),
  warnBefore: duration
    .default('2w')
    .describe('How long before the known end of a password status, /readyz and metrics begin to warn.'),
})

/** `rotation`. */
export const rotationSection = z.strictObject({
  journal: z
    .string()
    .default('/var/lib/regcredd/rotation.journal')
    .describe('The file in which is written what each rotation is about to do and has done; it holds no secret.'),
})

type Entry = z.output<typeof registryRotation>

/** One registry's rotations, checked; durations in seconds. */
export type RegistryRotation = Omit<Entry, 'rotateEvery' | 'warnBefore'> & {
  rotateEverySeconds: number | undefined
  warnBeforeSeconds: number
}

export function resolveRotation(entry: Entry, at: string, report: Report): RegistryRotation {
  const { rotateEvery, warnBefore, ...rest } = entry
  const program = entry.hook?.command[0]
  if (program !== undefined) checkAbsolute(program, `${at}.hook.command[0]`, report)
  if (rotateEvery !== undefined && entry.hook === undefined) {
    report(`${at}.rotateEvery`, 'needs `hook`', 'a password that nobody sets at the registry is of no use')
  }
  return {
    ...rest,
    rotateEverySeconds: rotateEvery === undefined ? undefined : secondsOf(rotateEvery),
    warnBeforeSeconds: secondsOf(warnBefore),
  }
}

function secondsOf(text: string): number {
  return Number.parseInt(text, 10) * (UNIT_SECONDS[text.slice(-1)] ?? 1)
}
