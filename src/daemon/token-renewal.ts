import { createTokenRenewal } from '../fleet/renew-token.ts'
import { realTime } from '../rotation/real-time.ts'
import type { Base } from './part.ts'

/** Renews the token by which the daemon is known in its cluster, where the configuration says so. */
export function startTokenRenewal({ config, log, stack }: Base): void {
  const { kubernetes } = config
  if (kubernetes?.renewToken !== true) return
  const until = (ms: number) => new Date(ms).toISOString()
  const renewal = createTokenRenewal({
    kubeconfig: kubernetes.kubeconfig,
    time: realTime,
    onRenewed: ({ namespace, account, expiresAtMs }) =>
      log.info(
        { account: `${namespace}/${account}`, until: until(expiresAtMs) },
        'the token for the cluster was renewed',
      ),
    onFault: (thrown, expiresAtMs) =>
      log.error(
        { err: thrown, ...(expiresAtMs !== undefined && { until: until(expiresAtMs) }) },
        'the token for the cluster could not be renewed; when it has run out: regcredd kubernetes join',
      ),
  })
  const closing = new AbortController()
  const running = renewal.run(closing.signal)
  stack.defer(async () => {
    closing.abort()
    await running
    await renewal.close()
  })
}
