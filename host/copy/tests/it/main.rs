mod corpus;
mod properties;
mod scripted;
