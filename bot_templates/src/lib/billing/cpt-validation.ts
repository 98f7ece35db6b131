import type { Bundle, Parameters } from '@medplum/fhirtypes';
import { fhirRequest } from '../fhir.ts';
import type { BotRun } from '../run.ts';
import { CPT } from './procedure-code.ts';

/** Checking codes is worth no long wait. */
const LIMIT_MS = 3_000;
/** Codes that are checked. */
const MOST_CODES = 20;

/**
 * Asks the server once which CPT codes there are, by CodeSystem/$validate-code: a server may have CPT loaded.
 * @returns The codes that it knows. Empty where it cannot tell: nothing is verified then, and nothing is refused.
 */
export async function verifiedCpt(run: BotRun, codes: readonly string[]): Promise<Set<string>> {
  const asked = codes.slice(0, MOST_CODES);
  if (asked.length === 0) {
    return new Set();
  }
  const batch: Bundle = {
    resourceType: 'Bundle',
    type: 'batch',
    entry: asked.map((code) => ({
      request: { method: 'GET', url: `CodeSystem/$validate-code?url=${encodeURIComponent(CPT)}&code=${code}` },
    })),
  };
  try {
    const answer = await fhirRequest(
      'Checking CPT codes',
      'DB_ERROR',
      (signal) => run.medplum.executeBatch(batch, { signal }),
      LIMIT_MS
    );
    return new Set(asked.filter((_code, index) => isKnown(answer.entry?.[index]?.resource)));
  } catch {
    return new Set();
  }
}

function isKnown(resource: unknown): boolean {
  const { resourceType, parameter } = (resource ?? {}) as Partial<Parameters>;
  return resourceType === 'Parameters' && parameter?.find(({ name }) => name === 'result')?.valueBoolean === true;
}
