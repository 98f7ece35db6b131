import { randomUUID } from 'node:crypto';
import type { Patient, Resource } from '@medplum/fhirtypes';
import { beforeEach, expect } from 'vitest';
import { handler as embed } from '../../src/bots/embedding.ts';
import { handler } from '../../src/bots/semantic-search.ts';
import { executeEvent, PROJECT, subscriptionEvent } from './events.ts';
import { PATIENT } from './records.ts';
import { type Surroundings, useSurroundings } from './surroundings.ts';

/** What a search answers. */
export interface SearchOutput {
  success: boolean;
  results: {
    resourceType: string;
    resourceId: string;
    patientId: string | null;
    similarity: number;
    matchedText?: string;
  }[];
  filteredCount: number;
  warnings?: string[];
}

/** Another patient than the one of the records. */
export const OTHER_PATIENT = randomUUID();

/** Records that were embedded, and a user who searches them. */
export interface Searching {
  around: Surroundings;
  /** Stores a record and has it embedded. */
  put(resource: Resource, project?: string): Promise<Resource & { id: string }>;
  search(input: unknown, requester?: string, headers?: Record<string, string>): Promise<SearchOutput>;
}

/** Starts surroundings with two patients; the user's token is `user`. */
export function useSearching(): Searching {
  const around = useSurroundings();
  beforeEach(() => {
    around.server.put<Patient>({ resourceType: 'Patient', id: PATIENT });
    around.server.put<Patient>({ resourceType: 'Patient', id: OTHER_PATIENT });
  });
  return {
    around,
    put: async (resource, project = PROJECT) => {
      const stored = around.server.put(resource);
      const values = { ...around.values, MEDBOTS_PROJECT_ID: project, DATABASE_URL: around.database.url(project) };
      expect(await embed(around.server.client(), subscriptionEvent(stored, values))).toMatchObject({ success: true });
      return stored;
    },
    search: async (input, requester, headers) => {
      const event = executeEvent(input, around.values, requester, headers);
      return (await handler(around.server.client('user'), event)) as unknown as SearchOutput;
    },
  };
}
