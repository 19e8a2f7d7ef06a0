//! Home regions that are given up and taken back.

use edge::homes::{HomeRegions, evacuation};
use edge::http::{Call, Response};
use edge::ports::Variables;
use edge::store::Store;
use edge::{Metered, Refusal, config};
use wire::fleet::{Evacuation, RegionList};
use wire::ids::AwsRegion;
use wire::problem::ProblemKind;

/// `GET /v1/regions`.
pub(crate) async fn list<H: Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let regions = config::home_regions(host).await?;
    let record = evacuation::read(store, call.caller()?.now_ms).await?.value;
    Ok(told(call, regions.as_ref(), record))
}

/// `PUT` and `DELETE /v1/regions/{region}/evacuation`.
pub(crate) async fn change<H: Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
    is_gone: bool,
) -> Result<Response, Refusal> {
    let refused = |detail: String| Err(Refusal::new(ProblemKind::NameInvalid, detail));
    let Some(regions) = config::home_regions(host).await? else {
        return refused("This edge has one region, and nowhere to evacuate it to.".to_owned());
    };
    let wanted = AwsRegion::new(call.parameters[0].clone())?;
    let wanted = wanted.as_str();
    let names: Vec<&str> = regions.names().collect();
    // A region joins as given up: nothing moves while some know of it and some do not.
    let is_coming = call
        .request
        .query_value("coming")
        .is_some_and(|value| value == "true");
    let is_known = names.contains(&wanted) || is_gone && is_coming;
    if !is_known {
        return refused(format!("The regions are {}; name one.", names.join(", ")));
    }
    if is_gone && wanted == regions.here() {
        return refused(format!(
            "This is {wanted}: ask the edge of a region that stays, which must hear of it first."
        ));
    }
    let record = evacuation::change(store, call.caller()?.now_ms, wanted, is_gone).await?;
    Ok(told(call, Some(&regions), record))
}

fn told(call: &Call<'_>, regions: Option<&HomeRegions>, evacuation: Evacuation) -> Response {
    let list = RegionList {
        here: regions.map(|regions| regions.here().to_owned()),
        regions: regions.map_or(Vec::new(), |regions| {
            regions.names().map(str::to_owned).collect()
        }),
        evacuation,
    };
    Response::json(call.route.status, &list)
}
