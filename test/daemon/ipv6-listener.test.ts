import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startDaemon } from '../helpers/daemon.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
const skip = hasIpv6 ? skipWithout('openssl') : 'this machine has no ::1'

test('IPv6 listeners are told of as the configuration wants them, in brackets', { skip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-ipv6-'))
  t.after(() => rm(folder, { recursive: true }))
  const { certFile, keyFile } = await makeServerCertificate(await makeCa(folder), folder, ['localhost'])
  const daemon = await startDaemon({
    registries: [{ host: 'registry.corp.example', upstream: 'https://127.0.0.1:1' }],
    config: {
      proxy: { listen: '[::1]:0' },
      admin: { tls: { listen: '[::1]:0', certFile, keyFile, hosts: ['localhost'] } },
    },
  })
  t.after(() => daemon.close())
  assert.match(daemon.proxy, /^\[::1\]:[1-9]\d*$/)
  assert.match(daemon.log(), /"adminTls":"\[::1\]:[1-9]\d*"/)
  const headers = { 'regcredd-token': daemon.callerToken }
  assert.equal((await fetch(`http://${daemon.proxy}/v2/`, { headers })).status, 200)
  const { body } = await daemon.rest('GET', '/v1/status')
  assert.deepEqual([body.proxy.listen, body.admin.tls], [daemon.proxy, '[::1]:0'])
})
