import type { Command } from 'commander'
import { contextOf, registryName, registryPath } from './context.ts'

export function addLogout(program: Command): void {
  program
    .command('logout')
    .argument('<host>', 'the registry, host[:port] or host[:port]/path')
    .description('delete the credential of a registry, with all its versions')
    .action(async (host: string, _options, command: Command) => {
      const { ask, show } = contextOf(command)
      await ask({ method: 'DELETE', path: `${registryPath(host)}/credential` })
      show({ host: registryName(host), deleted: true }, () => `${registryName(host)}: the credential is deleted`)
    })
}
