import { type Command, InvalidArgumentError, Option } from 'commander'
import { RegcreddError } from '../errors.ts'
import { type Context, contextOf, registryPath } from './context.ts'
import { type DryRunAnswer, describeDryRun } from './dry-run.ts'
import { exitCodes } from './exit-code.ts'
import { expiresAtOption } from './expires-at.ts'
import { readPassword } from './password.ts'
import { describeRotation, exitCodeOfRotation, followRotation, type RotationAnswer } from './rotation-progress.ts'

type RotateOptions = {
  username?: string
  passwordStdin?: true
  generate?: true
  length?: number
  alphabet?: string
  email?: string
  expiresAt?: string
  deadline?: number
  dryRun?: true
  wait: boolean
  idempotencyKey?: string
}

export function addRotate(program: Command): void {
  program
    .command('rotate')
    .argument('<host>', 'the registry, host[:port] or host[:port]/path')
    .description('stage a new password; it comes into force when the registry accepts it')
    .option('--username <name>', 'another user (default: the stored one)')
    .option('--password-stdin', 'read the new password from stdin (a terminal is asked for it anyway)')
    .option('--generate', 'have the daemon make it, and its hook set it at the registry')
    .option('--length <characters>', 'of a generated password, 20 to 128', length)
    .addOption(new Option('--alphabet <name>', 'of a generated password').choices(['alphanumeric', 'signs', 'hex']))
    .option('--email <address>', 'another email (default: the stored one)')
    .addOption(expiresAtOption())
    .addOption(deadlineOption())
    .option('--dry-run', 'tell what would happen, and do nothing')
    .option('--no-wait', 'return as soon as it is staged')
    .option('--idempotency-key <key>', 'makes it safe to send the same rotation twice', headerText)
    .action(async (host: string, options: RotateOptions, command: Command) => {
      const context = contextOf(command)
      const path = `${registryPath(host)}/rotations`
      if (options.dryRun) return showDryRun(context, path, options)
      const { idempotencyKey } = options
      const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }
      const body = JSON.stringify(await bodyOf(options, host))
      const started = (await context.ask({ method: 'POST', path, headers, body })) as RotationAnswer
      await seeThrough(context, started, options.wait)
    })
}

/** Follows a rotation that has begun, where that is wanted, shows it and sets the exit code. */
export async function seeThrough(context: Context, started: RotationAnswer, isWanted: boolean): Promise<void> {
  context.note(`rotation ${started.id}; it goes on if you leave: regcredd rotation show ${started.id}`)
  if (isWanted) return followToEnd(context, started)
  context.show(started, (paint) => describeRotation(started, paint))
  process.exitCode = exitCodes.ok
}

/** Follows a rotation, shows it and sets the exit code. */
export async function followToEnd(context: Context, rotation: RotationAnswer): Promise<void> {
  const last = await followRotation(context, rotation)
  context.show(last, (paint) => describeRotation(last, paint))
  process.exitCode = exitCodeOfRotation(last)
  if (process.exitCode === exitCodes.unfinished) context.note('not everything is done; the daemon goes on with it')
}

export function deadlineOption(): Option {
  const text = 'how long the registry may refuse it before it is dropped, 0 to 86400'
  return new Option('--deadline <seconds>', text).argParser(seconds)
}

async function bodyOf(options: RotateOptions, host: string): Promise<object> {
  const { username, email, expiresAt, deadline: deadlineSeconds, length, alphabet } = options
  const about = { username, email, expiresAt, deadlineSeconds }
  if (options.generate) {
    if (options.passwordStdin) throw new RegcreddError('USAGE', 'give either --generate or --password-stdin')
    return { ...about, generate: { length, alphabet } }
  }
  if (length !== undefined || alphabet !== undefined) {
    throw new RegcreddError('USAGE', '--length and --alphabet are of a password that is made: --generate')
  }
  const password = await readPassword(options, `New password at ${host}: `)
  return { username, password: password.reveal(), email, expiresAt, deadlineSeconds }
}

async function showDryRun(context: Context, path: string, options: RotateOptions): Promise<void> {
  const { generate, deadline: deadlineSeconds } = options
  const body = JSON.stringify({ ...(generate && { generate: {} }), deadlineSeconds })
  const found = (await context.ask({ method: 'POST', path: `${path}?dryRun=true`, body })) as DryRunAnswer
  context.show(found, (paint) => describeDryRun(found, paint))
  if (found.refusals.length > 0) process.exitCode = exitCodes.refused
}

function seconds(text: string): number {
  const value = Number(text)
  if (/^[0-9]{1,5}$/.test(text) && value <= 86_400) return value
  throw new InvalidArgumentError('It must be a whole number from 0 to 86400.')
}

function length(text: string): number {
  const value = Number(text)
  if (/^[0-9]{2,3}$/.test(text) && value >= 20 && value <= 128) return value
  throw new InvalidArgumentError('It must be a whole number from 20 to 128.')
}

function headerText(text: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(text)) return text
  throw new InvalidArgumentError('It must be 1 to 255 visible ASCII characters.')
}
