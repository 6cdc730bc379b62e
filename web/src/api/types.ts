// The shapes of the API that the console names. All of them come from the service's own description: see `npm run api`.
import type { components } from './schema';

type Schemas = components['schemas'];

export type AccountHistory = Schemas['AccountHistory'];
export type AccountLine = Schemas['AccountLine'];
export type Charge = Schemas['Charge'];
export type Conference = Schemas['ConferenceView'];
export type ConferenceList = Schemas['ConferenceList'];
export type ConferenceSummary = Schemas['ConferenceSummary'];
export type Contact = Schemas['ContactView'];
export type ContactInput = Schemas['ContactInput'];
export type Delivery = Schemas['Delivery'];
export type FieldError = Schemas['FieldError'];
export type Group = Schemas['GroupView'];
export type Health = Schemas['Health'];
export type LiveDelta = Schemas['LiveDelta'];
export type Me = Schemas['Me'];
export type OpenConference = Schemas['OpenConference'];
export type Participant = Schemas['ParticipantView'];
export type PastConference = Schemas['PastConference'];
export type PersonInput = Schemas['PersonInput'];
export type Plan = Schemas['PlanView'];
export type PlanCheck = Schemas['PlanCheck'];
export type PlanInput = Schemas['PlanInput'];
export type PlanUpdate = Schemas['PlanUpdate'];
export type Estimate = Schemas['ConferenceEstimate'];
export type Problem = Schemas['Problem'];
export type RateView = Schemas['RateView'];
export type Report = Schemas['Report'];
export type ReportCharge = Schemas['ReportCharge'];
export type ReportLeg = Schemas['ReportLeg'];
export type Session = Schemas['SessionView'];
export type TariffLine = Schemas['TariffLine'];
export type MessageInput = Schemas['MessageInput'];
export type MessagePreview = Schemas['MessagePreview'];
export type MessageView = Schemas['MessageView'];
