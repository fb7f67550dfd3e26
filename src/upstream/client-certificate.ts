import type { Registry } from '../config/config.ts'
import type { RegcreddError } from '../errors.ts'
import { type Followed, followFiles } from '../followed-files.ts'
import { type KeyPair, pairWarnings, readKeyPair } from '../key-pair.ts'

/** The certificates that are shown to registries. */
export type ClientCertificates = {
  of(registry: Pick<Registry, 'name'>): Followed<KeyPair> | undefined
  /** Which of them end soon, have ended, or were renewed in a way that cannot be used; a line each. */
  warnings(wallNowMs: number): string[]
  close(): void
}

type ClientCertificateOptions = {
  onNews: (registry: string, fault: RegcreddError | undefined) => void
  intervalMs?: number
}

/**
 * The client certificates of those registries that have one. While the renewed files cannot be read, or do not belong together yet, the old
 * ones are shown.
 * @throws CONFIG_INVALID at first, with the file and what to do
 */
export async function followClientCertificates(
  registries: readonly Pick<Registry, 'name' | 'clientCertificate'>[],
  { onNews, ...options }: ClientCertificateOptions,
): Promise<ClientCertificates> {
  const followed = new Map<string, Followed<KeyPair>>()
  const close = () => {
    for (const pair of followed.values()) pair.close()
  }
  try {
    for (const { name, clientCertificate: files } of registries) {
      if (files === undefined) continue
      const read = () => readKeyPair(files, { code: 'CONFIG_INVALID', ...told(name) })
      const news = { ...options, onNews: (fault: RegcreddError | undefined) => onNews(name, fault) }
      followed.set(name, await followFiles([files.certFile, files.keyFile], read, news))
    }
  } catch (thrown) {
    close()
    throw thrown
  }
  return {
    of: ({ name }) => followed.get(name),
    warnings: (wallNowMs) =>
      [...followed].flatMap(([name, pair]) => {
        const stays = `the certificate from before is shown to ${name}`
        return pairWarnings(pair, { what: told(name).cert, after: 'the registry refuses it', stays }, wallNowMs)
      }),
    close,
  }
}

function told(name: string): { cert: string; key: string } {
  return { cert: `clientCertFile of ${name}`, key: `clientKeyFile of ${name}` }
}
