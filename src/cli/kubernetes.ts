import type { Command } from 'commander'
import { addKubernetesCheck } from './kubernetes-check.ts'

export function addKubernetes(program: Command): void {
  const group = program.command('kubernetes').description('what the daemon may do in its cluster')
  addKubernetesCheck(group)
}
