import { Command } from 'commander'
import { RegcreddError } from '../errors.ts'
import { addAudit } from './audit.ts'
import { addCallerToken } from './caller-token.ts'
import { addClients } from './clients.ts'
import { complaint } from './complaint.ts'
import { addConfig } from './config.ts'
import { exitCodeOf, exitCodes } from './exit-code.ts'
import { addKeychain } from './keychain.ts'
import { addKubernetes } from './kubernetes.ts'
import { addList } from './list.ts'
import { addLogin } from './login.ts'
import { addLogout } from './logout.ts'
import { addMirror } from './mirror.ts'
import { addRotate } from './rotate.ts'
import { addRotation } from './rotation.ts'
import { addServe, type Serve } from './serve.ts'
import { addStatus } from './status.ts'
import { paintFor } from './terminal.ts'
import { addToken } from './token.ts'
import { addVersion } from './version.ts'

/** Runs one command line, says on stderr what went wrong, and gives the exit code (exit-code.ts). */
export async function runCli(argv: string[], serve: Serve): Promise<number> {
  // `regcredd audit tail | head` closes the pipe when it has enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(exitCodes.ok)
  })
  try {
    refusePasswords(argv)
    await buildProgram(serve).parseAsync(argv, { from: 'user' })
    return Number(process.exitCode ?? exitCodes.ok)
  } catch (thrown) {
    process.stderr.write(complaint(thrown, argv.includes('--json'), paintFor(process.stderr, process.env)))
    return exitCodeOf(thrown)
  }
}

function buildProgram(serve: Serve): Command {
  const { env } = process
  const program = new Command('regcredd')
    .description('Lends private-registry credentials from the keychain of this node to its image pulls.')
    .option('--socket <path>', 'admin socket (REGCREDD_SOCKET)', env['REGCREDD_SOCKET'] || '/run/regcredd/admin.sock')
    .option('--config <path>', 'config file (REGCREDD_CONFIG)', env['REGCREDD_CONFIG'] || '/etc/regcredd/config.json')
    .option('--json', 'print JSON')
    .showHelpAfterError('(--help tells more)')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
  addServe(program, serve)
  addLogin(program)
  addLogout(program)
  addList(program)
  addRotate(program)
  addRotation(program)
  addStatus(program)
  addMirror(program)
  addKubernetes(program)
  addAudit(program)
  addConfig(program)
  addClients(program)
  addCallerToken(program)
  addKeychain(program)
  addToken(program)
  addVersion(program)
  return program
}

/** `-p` is what docker and mysql call it. Nothing of ours begins so. */
function refusePasswords(argv: string[]): void {
  if (!argv.some((argument) => /^(--(password|passphrase)(=|$)|-p)/.test(argument))) return
  throw new RegcreddError(
    'USAGE',
    'a password among the arguments is seen by every process of this machine and kept in the history of the shell; give it on stdin with --password-stdin, and change that one',
  )
}

/** Commander repeats what it does not understand, and that may be a password in the wrong place (`--passwort=…`, one word too many). */
function withoutValues(text: string): string {
  return text
    .replace(/(unknown option '(?:--[\w-]+|-\w))[\s\S]*?(\n\(Did you mean [^\n]*)?\n$/, "$1'$2\n")
    .replace(/(but got \d+):[\s\S]*/, '$1.\n')
}
