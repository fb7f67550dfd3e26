import { type Command, InvalidArgumentError } from 'commander'
import { contextOf, registryPath } from './context.ts'
import { exitCodes } from './exit-code.ts'
import { readPassword } from './password.ts'
import { describeRotation, followRotation, hasEnded, type RotationAnswer } from './rotation-progress.ts'

type RotateOptions = {
  username?: string
  passwordStdin?: true
  email?: string
  deadline?: number
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
    .option('--email <address>', 'another email (default: the stored one)')
    .option('--deadline <seconds>', 'how long the registry may refuse it before it is dropped, 0 to 86400', seconds)
    .option('--no-wait', 'return as soon as it is staged')
    .option('--idempotency-key <key>', 'makes it safe to send the same rotation twice', headerText)
    .action(async (host: string, options: RotateOptions, command: Command) => {
      const context = contextOf(command)
      const path = `${registryPath(host)}/rotations`
      const password = await readPassword(options, `New password at ${host}: `)
      const { username, email, deadline: deadlineSeconds, idempotencyKey } = options
      const body = JSON.stringify({ username, password: password.reveal(), email, deadlineSeconds })
      const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }
      const started = (await context.ask({ method: 'POST', path, headers, body })) as RotationAnswer
      context.note(`rotation ${started.id}; it goes on if you leave: regcredd rotation get ${started.id}`)
      const last = options.wait ? await followRotation(context, started) : started
      if (options.wait && !hasEnded(last)) context.note('not everything is done; the daemon goes on with it')
      context.show(last, (paint) => describeRotation(last, paint))
      if (last.state === 'ABORTED') process.exitCode = exitCodes.refused
    })
}

function seconds(text: string): number {
  const value = Number(text)
  if (/^[0-9]{1,5}$/.test(text) && value <= 86_400) return value
  throw new InvalidArgumentError('It must be a whole number from 0 to 86400.')
}

function headerText(text: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(text)) return text
  throw new InvalidArgumentError('It must be 1 to 255 visible ASCII characters.')
}
