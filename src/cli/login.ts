import type { Command } from 'commander'
import { contextOf, registryPath } from './context.ts'
import { expiresAtOption } from './expires-at.ts'
import { readPassword } from './password.ts'

type LoginOptions = { username: string; passwordStdin?: true; email?: string; expiresAt?: string; verify: boolean }

export function addLogin(program: Command): void {
  program
    .command('login')
    .argument('<host>', 'the registry, host[:port] or host[:port]/path as in the configuration')
    .description('store the credential of a registry, after the registry has accepted it')
    .requiredOption('--username <name>', 'user or robot account')
    .option('--password-stdin', 'read the password from stdin (a terminal is asked for it anyway)')
    .option('--email <address>', 'written into pull secrets, nothing else')
    .addOption(expiresAtOption())
    .option('--no-verify', 'store it without asking the registry')
    .action(async (host: string, options: LoginOptions, command: Command) => {
      const { ask, show } = contextOf(command)
      const path = `${registryPath(host)}/credential`
      const password = await readPassword(options, `Password of ${options.username} at ${host}: `)
      const { username, email, expiresAt, verify } = options
      const body = JSON.stringify({ username, password: password.reveal(), email, expiresAt, verify })
      const stored = (await ask({ method: 'PUT', path, body })) as { host: string; username: string; version: string }
      show(stored, (paint) => {
        const how = verify ? 'the registry accepts it' : paint('yellow', 'the registry was not asked')
        return `${stored.host}: ${stored.username} is stored as ${stored.version}; ${how}`
      })
    })
}
