import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import type { Ending } from '../../src/proxy/tls-files.ts'
import { tlsReasons } from '../../src/proxy/tls-reasons.ts'
import { Secret } from '../../src/secret.ts'

const DAY_MS = 86_400_000
const NOW = Date.parse('2026-06-01T00:00:00Z')
/** Days from now. */
const ending = (key: Ending['key'], from: number, to: number): Ending => ({
  key,
  from: new Date(NOW + from * DAY_MS),
  to: new Date(NOW + to * DAY_MS),
})
const reasons = (endings: Ending[], fault?: string) =>
  tlsReasons(
    {
      now: () => ({ cert: '', key: new Secret(''), ca: '', crls: [], endings }),
      fault: () => (fault === undefined ? undefined : new RegcreddError('CONFIG_INVALID', fault)),
    },
    NOW,
  )

test('a certificate that ends within 14 days is told ahead, and one that has ended is a fault', () => {
  assert.deepEqual(reasons([ending('certFile', -100, 15)]), { faults: [], warnings: [] })
  assert.deepEqual(reasons([ending('certFile', -100, 13)]).warnings, [
    'warning: the certificate of proxy.tls.certFile ends at 2026-06-14T00:00:00Z; from then on no client takes it',
  ])
  assert.deepEqual(reasons([ending('certFile', -100, -1)]).faults, [
    'the certificate of proxy.tls.certFile ended at 2026-05-31T00:00:00Z; no client takes it',
  ])
})

test('what lives for days only is told of in the last fifth of its life', () => {
  assert.deepEqual(reasons([ending('crlFile', -3, 4)]).warnings, [])
  assert.match(reasons([ending('crlFile', -6, 1)]).warnings.join(), /list of revoked .* ends at 2026-06-02/)
  assert.match(reasons([ending('crlFile', -8, -1)]).faults.join(), /all certificates of its authority are refused/)
})

test('an authority that has ended is no fault while another stands in the file', () => {
  const [old, next] = [ending('clientCaFile', -300, -1), ending('clientCaFile', -10, 300)]
  assert.deepEqual(reasons([old, next]).faults, [])
  assert.match(reasons([old, next]).warnings.join(), /an authority of proxy\.tls\.clientCaFile ended/)
  assert.equal(reasons([old]).faults.length, 1)
})

test('files that cannot be used are told while those from before serve', () => {
  const { faults, warnings } = reasons([], 'proxy.tls.keyFile /k is not the key of certFile')
  assert.deepEqual(faults, [])
  assert.deepEqual(warnings, [
    'warning: the files from before serve on; proxy.tls.keyFile /k is not the key of certFile',
  ])
})
