import type { AuditEvent, PractitionerRole, Provenance, Resource } from '@medplum/fhirtypes';
import { expect } from 'vitest';
import type { Clinic, Member, Output } from './clinic.ts';
import type { Case } from './commands.ts';

export const HL7_ROLES = 'http://terminology.hl7.org/CodeSystem/practitioner-role';

/** Those who decide about what the doctor of a clinic hands in. */
export interface Approvers {
  physician: Member;
  nurse: Member;
  pharmacist: Member;
}

export async function approvers(clinic: Clinic): Promise<Approvers> {
  return {
    physician: await clinic.member('doctor'),
    nurse: await clinic.member('nurse'),
    pharmacist: await clinic.member('pharmacist'),
  };
}

/** Decides about the commands of a case, and looks at what came of them. */
export interface Approving {
  approve(taskId: unknown, as: Member, more?: object): Promise<Output>;
  /** The one resource that a search finds, by default of the patient's. */
  one<T extends Resource>(type: T['resourceType'], query?: string): Promise<T>;
  /** Our own audit events about the patient, oldest first. */
  trail(type: string): Promise<AuditEvent[]>;
}

/** @param about - The case of the test that runs. */
export function approving(about: () => Case): Approving {
  return {
    approve: (taskId, as, more = {}) => about().decide(taskId, 'approve', as.client, more),
    one: async <T extends Resource>(type: T['resourceType'], query = `patient=Patient/${about().patient.id}`): Promise<T> => {
      const found = await about().clinic.find<T>(type, query);
      expect(found).toHaveLength(1);
      return found[0] as T;
    },
    trail: (type) => about().trail(type),
  };
}

export function refused(output: Output, reason: string, errorCode = 'SAFETY_BLOCKED'): void {
  expect(output).toMatchObject({ success: false, errorCode, details: { reason } });
}

/** The versions that a Provenance is about. */
export function versionsOf({ entity = [] }: Provenance): (string | undefined)[] {
  return entity.filter(({ role: each }) => each === 'derivation').map(({ what }) => what.reference);
}

/** Gives somebody a role, by default an active one. */
export async function role(
  clinic: Clinic,
  { profile }: Member,
  { code, system = HL7_ROLES, ...more }: { code: string; system?: string } & Partial<Omit<PractitionerRole, 'code'>>
): Promise<void> {
  await clinic.create<PractitionerRole>({
    resourceType: 'PractitionerRole',
    active: true,
    practitioner: { reference: `Practitioner/${profile.id}` },
    code: [{ coding: [{ system, code }] }],
    ...more,
  } as PractitionerRole);
}
