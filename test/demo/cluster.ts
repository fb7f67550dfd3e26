import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { findTool } from '../helpers/tools.ts'
import { titleOf } from './parts.ts'

export type DemoCluster = {
  title: string
  /** For the daemon: in a cluster of our own with the rights of kubernetes/rbac.yaml and no more. */
  kubeconfig: string
  rights: string
  namespace: string
  /** undefined where there is none. */
  readSecret(): Promise<RegcredSecret | undefined>
  /** Sets up what a fleet of two needs, namespaces of its own included. */
  openFleet(): Promise<FleetAccess>
  close(): Promise<void>
}

export type FleetAccess = {
  /** One for each node. */
  kubeconfigs: string[]
  rights: string
  /** Where the credential that they share lies. */
  system: string
  namespaces: string[]
  readSecret(namespace: string): Promise<RegcredSecret | undefined>
}

const TEAMS = ['team-b', 'team-c', 'team-d']

export type RegcredSecret = {
  type: string
  uid: string
  resourceVersion: string
  /** Decoded: one entry for each registry. */
  auths: Record<string, { username: string; password: string; auth: string }>
}

type Kubectl = (args: string[], input?: string) => Promise<string>

/** A real API server and etcd, ready in about four seconds. */
export async function startOwnCluster(): Promise<DemoCluster> {
  const api = await startKubeApiserver()
  try {
    await api.kubectl(['create', 'namespace', 'team-a'])
    const rights = await readFile(new URL('../../kubernetes/rbac.yaml', import.meta.url), 'utf8')
    await api.kubectl(['apply', '-f', '-'], rights)
    const token = (await api.kubectl(['create', 'token', 'regcredd', '-n', 'regcredd'])).trim()
    return {
      title: titleOf('kube-apiserver'),
      kubeconfig: await api.kubeconfig({ token }),
      rights: 'the three rights of kubernetes/rbac.yaml: get and patch on this one Secret, create',
      namespace: 'team-a',
      readSecret: () => readSecret(api.kubectl, 'team-a'),
      async openFleet() {
        for (const manifest of ['fleet.yaml', 'rbac-cluster.yaml']) {
          const text = await readFile(new URL(`../../kubernetes/${manifest}`, import.meta.url), 'utf8')
          await api.kubectl(['apply', '-f', '-'], text)
        }
        const leader = ['--clusterrole=regcredd-mirror', '--serviceaccount=regcredd-system:leader']
        await api.kubectl(['create', 'clusterrolebinding', 'regcredd-leader', ...leader])
        for (const namespace of TEAMS) await api.kubectl(['create', 'namespace', namespace])
        const enter = async () => {
          const token = (await api.kubectl(['create', 'token', 'leader', '-n', 'regcredd-system'])).trim()
          return api.kubeconfig({ token })
        }
        return {
          kubeconfigs: [await enter(), await enter()],
          rights: 'the rights of kubernetes/fleet.yaml',
          system: 'regcredd-system',
          namespaces: TEAMS,
          readSecret: (namespace) => readSecret(api.kubectl, namespace),
        }
      },
      close: api.close,
    }
  } catch (error) {
    await api.close()
    throw error
  }
}

/** Somebody's own cluster: a namespace is made for the demo, and deleted when it closes. */
export async function useCluster(kubeconfig: string): Promise<DemoCluster> {
  const tool = findTool('kubectl')
  const command = 'missing' in tool ? 'kubectl' : tool.command
  const kubectl: Kubectl = async (args) =>
    (await promisify(execFile)(command, [`--kubeconfig=${kubeconfig}`, '--request-timeout=10s', ...args])).stdout
  const namespace = `regcredd-demo-${randomBytes(3).toString('hex')}`
  await kubectl(['create', 'namespace', namespace])
  const made = [namespace]
  return {
    title: `the cluster of ${kubeconfig}`,
    kubeconfig,
    rights: 'the rights of this kubeconfig',
    namespace,
    readSecret: () => readSecret(kubectl, namespace),
    async openFleet() {
      const system = `${namespace}-system`
      const namespaces = TEAMS.map((team) => `${namespace}-${team}`)
      for (const one of [system, ...namespaces]) {
        await kubectl(['create', 'namespace', one])
        made.push(one)
      }
      return {
        kubeconfigs: [kubeconfig, kubeconfig],
        rights: 'the rights of this kubeconfig',
        system,
        namespaces,
        readSecret: (one) => readSecret(kubectl, one),
      }
    },
    close: async () => {
      await kubectl(['delete', 'namespace', ...made, '--wait=false'])
    },
  }
}

async function readSecret(kubectl: Kubectl, namespace: string): Promise<RegcredSecret | undefined> {
  const found = await kubectl(['-n', namespace, 'get', 'secret', 'regcred', '--ignore-not-found', '-o', 'json'])
  if (found.trim() === '') return undefined
  const { type, metadata, data } = JSON.parse(found)
  const { auths } = JSON.parse(Buffer.from(data['.dockerconfigjson'], 'base64').toString())
  return { type, uid: metadata.uid, resourceVersion: metadata.resourceVersion, auths }
}
