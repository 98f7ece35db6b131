import { beforeAll, describe, expect, test } from 'vitest';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { Case, INTERPRETATION } from '../../test/support/commands.ts';
import { Inside, MortalFetch } from '../../test/support/crash.ts';
import { handler } from './command-processor.ts';

describe('after a crash at any request', () => {
  const clinic = useClinic(['command-processor']);
  let processor: Inside;

  beforeAll(async () => {
    processor = await Inside.of(clinic, 'command-processor', handler);
  });

  const flag = async (about: Case): Promise<object> => ({
    command: 'FlagAbnormalResult',
    parameters: {
      observationId: (await about.potassium()).id,
      severity: 'critical',
      interpretation: { system: INTERPRETATION, code: 'HH' },
    },
  });
  const note = async (about: Case): Promise<object> => ({
    command: 'CreateEncounterNoteDraft',
    encounterId: about.encounter.id,
    parameters: { noteType: 'progress', content: 'The patient is well.' },
  });

  test.each([
    ['a flag is set once, with one Provenance', flag, { Flag: 1 }],
    ['a command is queued once', note, { Task: 1 }],
  ] as const)('%s, when it is handed in again', async (_name, command, written) => {
    for (let at = 1, requests = Infinity; at <= requests; at++) {
      for (const [moment, lives] of [['before', false], ['after', false], ['after', true]] as const) {
        const about = await Case.open(clinic);
        const input = { ...(await command(about)), patientId: about.patient.id, confidence: 0.9 };
        const mortal = new MortalFetch(at, moment, lives);
        await processor.run(input, clinic.doctor, mortal);
        if (mortal.count < at) {
          requests = at;
        }
        const again: Output = await processor.run(input, clinic.doctor);
        expect(again, `${moment} ${at}`).toMatchObject({ success: true });
        expect({ at, moment, lives, written: await about.written() }).toEqual({ at, moment, lives, written });
        if (again.executedResourceId !== undefined) {
          expect(await clinic.find('Provenance', `target=Flag/${again.executedResourceId}`)).toHaveLength(1);
        }
      }
    }
  }, 120_000);
});
