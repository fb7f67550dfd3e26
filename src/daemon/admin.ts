import { createAdminApp } from '../admin/app.ts'
import { listenAdmin } from '../admin/listen-socket.ts'
import { readAudit } from '../audit/tail.ts'
import { canonicalName } from '../registry/host.ts'
import type { Rotations } from '../rotation/rotations.ts'
import { type StatusParts, statusOf } from '../status.ts'
import type { Base } from './part.ts'

/** Opens the admin API's socket. @throws LISTEN_FAILED */
export async function startAdmin(
  { config, log, stack }: Base,
  { status, rotations }: { status: StatusParts; rotations: Rotations },
): Promise<void> {
  const { keychain, mirror } = status
  const listedRegistries = config.registries.map(({ name, upstream, credential }) => ({
    host: name,
    upstream: upstream.origin,
    mode: credential,
  }))
  const admin = await listenAdmin(
    createAdminApp({
      registries: () => listedRegistries,
      canonicalKey: (host) => canonicalName(host).name,
      credential: (key) => keychain.get(key),
      rotations,
      status: async () => statusOf(status),
      mirror: () => ({
        configured: config.kubernetes !== undefined,
        results: mirror
          .results()
          .flatMap(({ registries, checkedAt, ...result }) =>
            registries.map((host) => ({ ...result, host, at: checkedAt })),
          ),
        stale: mirror.stale(),
      }),
      audit: (range) => readAudit(config.audit.folder, range),
      onAnswer: ({ error, ...line }) => {
        if (error === undefined) log.info(line, 'admin')
        else log.warn({ ...line, code: error.code, err: error }, 'admin')
      },
    }),
    config.admin,
  )
  // Together: a client that waits for a rotation gets its answer when the rotations stop.
  stack.defer(async () => void (await Promise.all([admin.close(), rotations.close()])))
}
