import type { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { contextOf } from './context.ts'

export function addVersion(program: Command): void {
  program
    .command('version')
    .description('show the version of this program')
    .action((_options, command: Command) => {
      const { version } = packageJson
      contextOf(command).show({ version, node: process.version }, () => `regcredd ${version} (Node ${process.version})`)
    })
}
