import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { exitCodes } from './exit-code.ts'
import { KEY_FILE_OPTION, nameOf, storeConfig, withItems } from './keychain-store.ts'
import { type Cell, table } from './table.ts'
import { printable } from './terminal.ts'

type Row = { host: string; seq: number; current: string | null; username: string | null; pending: boolean }

export function addKeychainCheck(group: Command): void {
  group
    .command('check')
    .description('read every item of the store and tell what is there; the daemon may run')
    .option(...KEY_FILE_OPTION)
    .action(async (options: { keyFile?: string }, command: Command) => {
      const { configPath, show } = contextOf(command)
      const { config, seenFile } = await storeConfig(configPath, options.keyFile)
      const { versionOf } = await import('../keychain/credential.ts')
      const { createKeychain } = await import('../keychain/keychain.ts')
      const all = await withItems(config, 'read', (items) => createKeychain(items).all(), seenFile)
      const credentials: Row[] = []
      const broken: { host: string; detail: string }[] = []
      for (const [host, read] of [...all].sort()) {
        if (read instanceof Error) {
          broken.push({ host, detail: read.message })
          continue
        }
        const current = versionOf(read, 'current')
        const { seq, pending } = read
        credentials.push({
          host,
          seq,
          current: current?.id ?? null,
          username: current?.username ?? null,
          pending: pending !== undefined,
        })
      }
      if (broken.length > 0) process.exitCode = exitCodes.refused
      show({ store: config.store, place: nameOf(config), credentials, broken }, (paint) => {
        const rows = [
          ...credentials.map(({ host, seq, current, username, pending }): Cell[] => [
            host,
            String(seq),
            current ?? '-',
            username ?? '-',
            pending ? { text: 'rotating', tone: 'yellow' } : { text: 'ready', tone: 'green' },
          ]),
          ...broken.map(({ host }): Cell[] => [host, '-', '-', '-', { text: 'broken', tone: 'red' }]),
        ]
        const head = `${nameOf(config)}: ${credentials.length} can be read, ${broken.length} cannot`
        const parts = [head]
        if (rows.length > 0) parts.push(table(['REGISTRY', 'SEQ', 'VERSION', 'USERNAME', 'STATE'], rows, paint))
        if (broken.length > 0) parts.push(broken.map(({ detail }) => printable(detail)).join('\n'))
        return parts.join('\n\n')
      })
    })
}
