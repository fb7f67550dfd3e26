import type { Command } from 'commander'
import { addKubernetesCheck } from './kubernetes-check.ts'
import { addKubernetesJoin } from './kubernetes-join.ts'

export function addKubernetes(program: Command): void {
  const group = program.command('kubernetes').description('what the daemon may do in its cluster, and who it is there')
  addKubernetesCheck(group)
  addKubernetesJoin(group)
}
