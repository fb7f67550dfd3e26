import type { Command } from 'commander'
import { contextOf } from './context.ts'

export function addConfig(program: Command): void {
  const config = program.command('config').description('look at the configuration')
  config
    .command('check')
    .argument('[file]', 'the file to check (default: that of --config)')
    .description('tell everything that is wrong with a configuration file; needs no daemon')
    .action(async (file: string | undefined, _options, command: Command) => {
      const { configPath, show } = contextOf(command)
      const path = file ?? configPath
      const { loadConfig } = await import('../config/load.ts')
      const { registries, keychain, kubernetes } = await loadConfig(path)
      const mirrors = kubernetes?.mirrors.length ?? 0
      show({ file: path, valid: true, registries: registries.map(({ name }) => name) }, (paint) => {
        const facts = `${count(registries.length, 'registry', 'registries')}, keychain ${keychain.store}, ${count(mirrors, 'mirror', 'mirrors')}`
        return `${path} is ${paint('green', 'valid')}: ${facts}`
      })
    })
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}
