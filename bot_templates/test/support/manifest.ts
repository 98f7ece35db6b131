import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AccessPolicyResource } from '@medplum/fhirtypes';
import { parse } from 'yaml';

/** A bot as `medbots.yaml` has it. */
export interface ManifestBot {
  name: string;
  description: string;
  timeout: number;
  runAsUser: boolean;
  policy: AccessPolicyResource[];
  secrets: string[];
  optionalSecrets?: string[];
}

export interface Manifest {
  bots: Record<string, ManifestBot>;
  subscriptions: Record<string, { name: string; criteria: string; bot: string; fhirPathCriteria?: string }>;
}

/** The manifest that ships. */
export function readManifest(): Manifest {
  return parse(readFileSync(fileURLToPath(new URL('../../medbots.yaml', import.meta.url)), 'utf8')) as Manifest;
}
